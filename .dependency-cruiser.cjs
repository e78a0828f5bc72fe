/** Imports point down: cmd → http → log → store → core; client, explorer and witness see only the core. */
const layers = ['cmd', 'http', 'log', 'store', 'core']
const path = (layer) => (layer === 'cmd' ? '^cmd/' : `^src/${layer}/`)
const only = (name, from, to) => ({
  name,
  severity: 'error',
  from: { path: from },
  to: { path: '^(src|cmd|witness|test)/', pathNot: to },
})

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    ...layers.slice(1).map((layer, i) =>
      only(
        `${layer}-imports-down`,
        path(layer),
        layers
          .slice(i + 1)
          .map(path)
          .join('|'),
      ),
    ),
    only('client-imports-core', '^src/client/', '^src/(client|core)/'),
    only('explorer-imports-core', '^src/explorer/', '^src/(explorer|core)/'),
    only('witness-imports-core', '^witness/', '^(witness|src/core)/'),
    {
      name: 'schemas-import-nothing',
      severity: 'error',
      from: { path: '^schemas/' },
      to: { path: '^(src|cmd|witness|test)/' },
    },
    {
      name: 'schemas-are-for-the-edges',
      comment: 'JSON ends where HTTP does; the client may name the documents that it reads',
      severity: 'error',
      from: { path: '^(src/(core|store|log)|witness)/' },
      to: { path: '^schemas/' },
    },
    {
      name: 'core-is-pure',
      comment: 'platform.node.ts is the one exception: two primitives, held against their web twins by a test',
      severity: 'error',
      from: { path: '^src/core/', pathNot: '^src/core/platform\\.node\\.ts$' },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'no-tests-in-the-product',
      severity: 'error',
      from: { path: '^(src|cmd|witness|schemas)/' },
      to: { path: '^test/' },
    },
    {
      name: 'no-development-packages-in-the-product',
      comment: 'the explorer is built into files of its own, with what it imports in them',
      severity: 'error',
      from: { path: '^(src|witness|cmd/treeline)', pathNot: '^src/explorer/' },
      to: { dependencyTypes: ['npm-dev'] },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { conditionNames: ['node', 'import', 'default'], exportsFields: ['exports'] },
  },
}
