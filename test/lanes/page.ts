/** Runs in the page: writes its verdicts where the lane reads them. */

const violations: string[] = []
document.addEventListener('securitypolicyviolation', ({ blockedURI, sourceFile }) => {
  violations.push(`${blockedURI} by ${sourceFile}`)
})

/** Whether the policy of this page is the strict one that we mean to test. */
function evaluates(): boolean {
  try {
    return new Function('return true')() as boolean
  } catch {
    return false
  }
}

async function result(): Promise<object> {
  try {
    // Only now, so that what the modules do when they load is heard above.
    const { allVerdicts } = await import('./verdicts.ts')
    const verdicts = allVerdicts()
    await new Promise((resolve) => setTimeout(resolve, 100))
    return { verdicts, violations: [...violations], evaluates: evaluates() }
  } catch (error) {
    return { error: String(error) }
  }
}

const element = document.createElement('pre')
element.id = 'result'
element.textContent = JSON.stringify(await result())
document.body.append(element)
