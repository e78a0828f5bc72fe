/** RFC 9110 section 12.5.3, as far as one coding needs it. */
export function acceptsGzip(header: string | undefined): boolean {
  const codings = (header ?? '').split(',').map((part) =>
    part
      .trim()
      .toLowerCase()
      .split(/\s*;\s*/),
  )
  const coding = codings.find(([name]) => name === 'gzip') ?? codings.find(([name]) => name === '*')
  return coding !== undefined && !coding.slice(1).some((parameter) => /^q=0(\.0*)?$/.test(parameter))
}
