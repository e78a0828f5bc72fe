import { createKeyFiles } from '../../src/client/signing-key.ts'
import { type Command, EXIT, usage } from '../cli.ts'

export const keygenCommand: Command = {
  name: 'keygen',
  operands: 'NAME',
  summary: 'Makes a signing key: NAME.key (keep it) and NAME.pub.',
  flags: [{ name: 'algorithm', value: 'ed25519|p256', help: 'the kind of key', default: 'ed25519' }],
  async run(options, operands) {
    const [name, ...rest] = operands
    const algorithm = options.need('algorithm')
    if (name === undefined || rest.length > 0) throw usage('keygen takes one NAME')
    if (algorithm !== 'ed25519' && algorithm !== 'p256') throw usage('--algorithm is ed25519 or p256')
    console.log(createKeyFiles(name, algorithm).id)
    return EXIT.done
  },
}
