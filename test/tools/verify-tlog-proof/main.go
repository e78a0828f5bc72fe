// Command verify-tlog-proof holds C2SP tlog-proof files against torchwood, an implementation that shares no code with
// ours. It prints one line for each proof, and exits with 1 when it refuses any.
//
//	verify-tlog-proof POLICY ENTRY PROOF...
package main

import (
	"fmt"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if len(os.Args) < 4 {
		fail("usage: verify-tlog-proof POLICY ENTRY PROOF...")
	}
	policy, err := torchwood.ParsePolicy(read(os.Args[1]))
	if err != nil {
		fail(err)
	}
	leaf := tlog.RecordHash(read(os.Args[2]))
	code := 0
	for _, file := range os.Args[3:] {
		if err := torchwood.VerifyProof(policy, leaf, read(file)); err != nil {
			fmt.Printf("%s: refused: %q\n", file, err)
			code = 1
		} else {
			fmt.Printf("%s: verified\n", file)
		}
	}
	os.Exit(code)
}

func read(file string) []byte {
	content, err := os.ReadFile(file)
	if err != nil {
		fail(err)
	}
	return content
}

func fail(why any) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(2)
}
