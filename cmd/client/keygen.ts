import { createKeyFiles } from '../../src/client/signing-key.ts'
import { type Command, EXIT, usage } from '../cli.ts'
import { JSON_FLAG, oneOperand } from './common.ts'

export const keygenCommand: Command = {
  name: 'keygen',
  operands: 'NAME',
  summary: 'Makes a signing key: NAME.key (keep it) and NAME.pub. Prints its id.',
  flags: [{ name: 'algorithm', value: 'ed25519|p256', help: 'the kind of key', default: 'ed25519' }, JSON_FLAG],
  async run(options, operands) {
    const name = oneOperand(operands, 'NAME')
    const algorithm = options.need('algorithm')
    if (algorithm !== 'ed25519' && algorithm !== 'p256') throw usage('--algorithm is ed25519 or p256')
    const { id } = createKeyFiles(name, algorithm)
    console.log(options.is('json') ? JSON.stringify({ id, key: `${name}.key`, publicKey: `${name}.pub` }) : id)
    return EXIT.done
  },
}
