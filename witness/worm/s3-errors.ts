/** What an S3 server or the SDK fails with, as one of our answers. */
import { TreelineError } from '../../src/core/errors.ts'

/** Trying again changes nothing: somebody must set it right. */
const SETTINGS = new Set([
  'AccessDenied',
  'AllAccessDisabled',
  'AuthorizationHeaderMalformed',
  'CredentialsProviderError',
  'ExpiredToken',
  'IllegalLocationConstraintException',
  'InvalidAccessKeyId',
  'InvalidArgument',
  'InvalidBucketName',
  'InvalidToken',
  'NoSuchBucket',
  'PermanentRedirect',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
])

/** The bucket, or the server, has no Object Lock; or the object has no lock. */
const NO_LOCK = new Set([
  'InvalidBucketState',
  'InvalidRequest',
  'NoSuchObjectLockConfiguration',
  'NotImplemented',
  'ObjectLockConfigurationNotFoundError',
])

/** Of a request for one version, whose id is the one argument that can be invalid; a delete marker's is not a method of it. */
const GONE = new Set(['InvalidArgument', 'MethodNotAllowed', 'NoSuchKey', 'NoSuchVersion', 'NotFound'])

interface Failure {
  readonly name?: string
  readonly message?: string
  readonly $metadata?: { readonly httpStatusCode?: number }
}

/** S3's name of an error, such as `AccessDenied`. */
export const nameOf = (error: unknown): string => (error as Failure).name ?? ''
export const statusOf = (error: unknown): number => (error as Failure).$metadata?.httpStatusCode ?? 0
export const isGone = (error: unknown): boolean => GONE.has(nameOf(error))

/** `step` begins the message. Whatever is not known to be final is UNREACHABLE: time-outs, resets, 5xx, answers that are no S3. */
export function s3Error(error: unknown, step: string): TreelineError {
  if (error instanceof TreelineError) return error
  const { name = '', message = '' } = error as Failure
  // The SDK has no name for it.
  const settings = SETTINGS.has(name) || message === 'Region is missing'
  const code = settings ? 'USAGE' : NO_LOCK.has(name) ? 'WORM_BROKEN' : 'UNREACHABLE'
  const text = message === '' || message === 'UnknownError' ? name : `${name}: ${message}`
  return new TreelineError(code, `${step}: ${text}`, {}, { cause: error })
}
