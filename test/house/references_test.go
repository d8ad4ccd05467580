package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	document = regexp.MustCompile(`[A-Za-z0-9_./-]*[A-Za-z0-9_-]\.md\b`)
	decision = regexp.MustCompile(`doc/decisions/[A-Za-z0-9-]+`)
	pageOf   = regexp.MustCompile(`(?i)\bguide,? (page )?[0-9]+`)
)

// dangling returns what a comment refers its reader to that is not in the
// repository: documents, decisions by number, pages of a guide.
func dangling(t *testing.T, comment, dir string) (out []string) {
	t.Helper()
	for _, name := range document.FindAllString(comment, -1) {
		if !there(filepath.Join(root, name)) && !there(filepath.Join(root, dir, name)) {
			out = append(out, name)
		}
	}
	for _, name := range decision.FindAllString(comment, -1) {
		found, err := filepath.Glob(filepath.Join(root, name+"*"))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) == 0 {
			out = append(out, name)
		}
	}
	return append(out, pageOf.FindAllString(comment, -1)...)
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// TestCommentsReferToWhatIsThere: a reader cannot follow a reference to a
// document that is not in the repository. RFCs and MS-* documents are public.
func TestCommentsReferToWhatIsThere(t *testing.T) {
	fset, all := sources(t)
	for _, s := range all {
		for _, g := range s.file.Comments {
			// A reference may be broken between two lines.
			text := strings.Join(strings.Fields(g.Text()), " ")
			for _, name := range dangling(t, text, s.pkg) {
				t.Errorf("%s: the comment names %s, which is not in the repository", fset.Position(g.Pos()), name)
			}
		}
	}
}

func TestDangling(t *testing.T) {
	for comment, want := range map[string]string{
		"see spec" + "/directory.md 7":              "spec" + "/directory.md",
		"STORE" + ".md 12 says so":                  "STORE" + ".md",
		"guide" + " 249":                            "guide" + " 249",
		"doc/decisions" + "/9999":                   "doc/decisions" + "/9999",
		"ARCHITECTURE.md and doc/decisions/0002":    "",
		"doc/dependencies.md. RFC 5321, MS-OXCSTOR": "",
	} {
		if got := strings.Join(dangling(t, comment, "internal"), " "); got != want {
			t.Errorf("%q: %q, want %q", comment, got, want)
		}
	}
}
