package house

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// allowed says which packages of the project a room of the house may import;
// packages within a room may import each other unless it says otherwise. Test
// files are free. The reasons are in ARCHITECTURE.md.
var allowed = map[string][]string{
	"internal/model":     nil,
	"internal/kv":        {},
	"internal/mapi":      {"internal/model"},
	"internal/message":   {"internal/model"},
	"internal/wire":      {"internal/model", "internal/mapi"},
	"internal/service":   {"internal/model"},
	"internal/auth":      {"internal/model"},
	"internal/directory": {"internal/model", "internal/kv", "internal/auth", "internal/wire/ldap"},
	"internal/org":       {"internal/model", "internal/directory", "internal/wire/ldap"},
	"internal/store":     {"internal/model", "internal/kv", "internal/mapi"},
	"internal/convert":   {"internal/model", "internal/mapi", "internal/message", "internal/wire"},
	"internal/transport": {"internal/model", "internal/kv", "internal/mapi", "internal/org", "internal/store", "internal/convert", "internal/message", "internal/wire/smtp", "internal/service"},
	"internal/attendant": {"internal/model", "internal/kv", "internal/mapi", "internal/message", "internal/convert", "internal/org", "internal/store", "internal/service"},
	"internal/admin":     {"internal/model", "internal/directory", "internal/auth", "internal/org", "internal/store", "internal/transport", "internal/attendant", "internal/service"},
	"internal/protocol":  {"internal/model", "internal/mapi", "internal/message", "internal/service", "internal/wire", "internal/auth", "internal/convert", "internal/directory", "internal/org", "internal/store", "internal/transport"},
	"internal/webapp":    {"internal/model", "internal/admin", "internal/auth", "internal/directory", "internal/protocol"},
	"internal/setup":     {"internal/model", "internal/admin", "internal/org", "internal/directory", "internal/wire/ldap"},
	"internal/server":    {"internal"},
	"cmd/rialto":         {"internal"},

	// Rows are read, written, checked and mended by what knows no open mailbox.
	"internal/store/layout":      {"internal/model", "internal/kv", "internal/mapi", "internal/store/content"},
	"internal/store/folderindex": {"internal/kv", "internal/mapi", "internal/store/content", "internal/store/layout"},
	"internal/store/fsck":        {"internal/model", "internal/kv", "internal/mapi", "internal/store/content", "internal/store/layout"},
}

func room(pkg string) string {
	best := ""
	for r := range allowed {
		if (pkg == r || strings.HasPrefix(pkg, r+"/")) && len(r) > len(best) {
			best = r
		}
	}
	return best
}

// TestImportPolicy: the house has floors, and nobody reaches up.
func TestImportPolicy(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		r := room(s.pkg)
		if s.test || support(s.pkg) || !strings.HasPrefix(s.pkg, "internal/") && !strings.HasPrefix(s.pkg, "cmd/") {
			continue
		}
		if r == "" {
			t.Errorf("%s belongs to no room of the import policy", s.pkg)
			continue
		}
		for _, i := range imports(s) {
			p, ours := strings.CutPrefix(i, "rialto/")
			if !ours || p == r || strings.HasPrefix(p, r+"/") {
				continue
			}
			ok := false
			for _, a := range allowed[r] {
				ok = ok || p == a || strings.HasPrefix(p, a+"/")
			}
			if !ok {
				t.Errorf("%s imports %s, which is not for %s", s.path, p, r)
			}
		}
	}
}

// TestRowsStayInTheStore: who reads a row without the store reads one that may
// not be durable, that its reader may not see, or that will look different.
func TestRowsStayInTheStore(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		if s.test || s.pkg == "internal/store" || strings.HasPrefix(s.pkg, "internal/store/") {
			continue
		}
		if slices.Contains(imports(s), "rialto/internal/store/layout") {
			t.Errorf("%s imports the layout of the store", s.path)
		}
	}
}

// TestHeadsAreStrangers: a head that imports a head makes two into one.
func TestHeadsAreStrangers(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		if s.test || !strings.HasPrefix(s.pkg, "internal/protocol/") && !strings.HasPrefix(s.pkg, "internal/wire/") {
			continue
		}
		own := strings.Join(strings.Split(s.pkg, "/")[:3], "/")
		side := strings.Join(strings.Split(s.pkg, "/")[:2], "/") + "/"
		for _, i := range imports(s) {
			if p, ours := strings.CutPrefix(i, "rialto/"); ours && strings.HasPrefix(p, side) && p != own && !strings.HasPrefix(p, own+"/") {
				t.Errorf("%s imports %s", s.path, p)
			}
		}
	}
}

// TestCodecsOpenNothing: a codec works on streams it is given.
func TestCodecsOpenNothing(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		if s.test || !strings.HasPrefix(s.pkg, "internal/wire/") {
			continue
		}
		for _, i := range imports(s) {
			if i == "net" || strings.HasPrefix(i, "net/http") || i == "os" {
				t.Errorf("%s imports %s", s.path, i)
			}
		}
	}
}

// TestArchitectureMatchesTheTree: the table of ARCHITECTURE.md names every
// package there is, and no other.
func TestArchitectureMatchesTheTree(t *testing.T) {
	doc, err := os.ReadFile(root + "/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:internal|cmd|test|bench)[a-z0-9/]*)` \\|").FindAllStringSubmatch(string(doc), -1) {
		named[m[1]] = true
	}
	_, all := sources(t)
	there := map[string]bool{}
	for _, s := range all {
		there[s.pkg] = true
	}
	for p := range there {
		if !named[p] {
			t.Errorf("package %s is not in ARCHITECTURE.md", p)
		}
	}
	for p := range named {
		if !there[p] {
			t.Errorf("ARCHITECTURE.md names %s, which is not there", p)
		}
	}
}
