// Package house keeps the rules of the repository: what may import what, what
// every package has, what none may have. Each rule says why.
package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// source is one Go file.
type source struct {
	path string // from the root, with slashes
	pkg  string // directory
	test bool
	file *ast.File
	text []byte
}

func sources(t *testing.T) (*token.FileSet, []source) {
	t.Helper()
	fset := token.NewFileSet()
	var out []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || rel == "bin" || rel == "run" || rel == "tools") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(rel, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, source{rel, filepath.ToSlash(filepath.Dir(rel)), strings.HasSuffix(rel, "_test.go"), f, text})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return fset, out
}

// support reports whether a package exists for tests only.
func support(pkg string) bool {
	return strings.HasSuffix(pkg, "test") || pkg == "internal/protocol/transcript"
}

func imports(s source) (out []string) {
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		out = append(out, p)
	}
	return out
}

// TestEveryPackageHasAComment: a reader meets a package by its comment.
func TestEveryPackageHasAComment(t *testing.T) {
	_, all := sources(t)
	has := map[string]bool{}
	for _, s := range all {
		if !s.test {
			has[s.pkg] = has[s.pkg] || s.file.Doc != nil
		}
	}
	for pkg, ok := range has {
		if !ok {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

// TestFilesAndFunctionsAreShort: what does not fit a screen or two is not read.
func TestFilesAndFunctionsAreShort(t *testing.T) {
	fset, all := sources(t)
	for _, s := range all {
		if n := bytes.Count(s.text, []byte("\n")); n > 1000 {
			t.Errorf("%s has %d lines; at most 1000", s.path, n)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil || s.test {
				continue
			}
			if n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line; n > 100 {
				t.Errorf("%s: %s has %d lines; at most 100", s.path, f.Name.Name, n)
			}
		}
	}
}

// TestInterfacesAreSmall: a contract of many methods is one that nobody
// implements twice.
func TestInterfacesAreSmall(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if ts, ok := n.(*ast.TypeSpec); ok {
				if it, ok := ts.Type.(*ast.InterfaceType); ok && it.Methods.NumFields() > 12 {
					t.Errorf("%s: interface %s has %d methods; at most 12", s.path, ts.Name.Name, it.Methods.NumFields())
				}
			}
			return true
		})
	}
}

// TestNoInit: nothing happens by being imported; N servers run in one process.
func TestNoInit(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", s.path)
			}
		}
		for _, i := range s.file.Imports {
			if i.Name != nil && i.Name.Name == "_" && i.Path.Value != `"embed"` && !s.test {
				t.Errorf("%s imports %s for its side effects", s.path, i.Path.Value)
			}
		}
	}
}

// TestNoPackageState: state belongs to values, so that whole organizations run
// in one test. Variables that are never written are fine: errors, embedded
// files, tables.
func TestNoPackageState(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		if s.test {
			continue
		}
		written := assigned(all, s.pkg)
		for _, d := range s.file.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if name.Name != "_" && (written[name.Name] || stateful(spec.(*ast.ValueSpec))) {
						t.Errorf("%s: package variable %s can change", s.path, name.Name)
					}
				}
			}
		}
	}
}

// assigned returns the names that a package assigns to, or takes the address of,
// outside declarations.
func assigned(all []source, pkg string) map[string]bool {
	out := map[string]bool{}
	for _, s := range all {
		if s.pkg != pkg || s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok == token.DEFINE {
					return true
				}
				for _, l := range n.Lhs {
					if id := base(l); id != nil && id.Obj != nil && id.Obj.Kind == ast.Var {
						if _, top := id.Obj.Decl.(*ast.ValueSpec); top && s.file.Scope.Lookup(id.Name) == id.Obj {
							out[id.Name] = true
						}
					}
				}
			case *ast.IncDecStmt:
				if id := base(n.X); id != nil && s.file.Scope.Lookup(id.Name) != nil && s.file.Scope.Lookup(id.Name) == id.Obj {
					out[id.Name] = true
				}
			}
			return true
		})
	}
	return out
}

func base(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.IndexExpr:
		return base(e.X)
	case *ast.SelectorExpr:
		return base(e.X)
	}
	return nil
}

// stateful reports whether a variable's type says that it is there to change.
func stateful(v *ast.ValueSpec) bool {
	text := func(e ast.Expr) string {
		if sel, ok := e.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok {
				return x.Name + "." + sel.Sel.Name
			}
		}
		return ""
	}
	names := []string{text(v.Type)}
	for _, x := range v.Values {
		if c, ok := x.(*ast.CompositeLit); ok {
			names = append(names, text(c.Type))
		}
		if u, ok := x.(*ast.UnaryExpr); ok {
			if c, ok := u.X.(*ast.CompositeLit); ok {
				names = append(names, text(c.Type))
			}
		}
		if c, ok := x.(*ast.CallExpr); ok {
			if id, ok := c.Fun.(*ast.Ident); ok && id.Name == "make" {
				return true
			}
		}
	}
	for _, n := range names {
		if strings.HasPrefix(n, "sync.") || strings.HasPrefix(n, "atomic.") {
			return true
		}
	}
	return false
}

// TestNoEmptyNames: a package is called after what it does.
func TestNoEmptyNames(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		if n := filepath.Base(s.pkg); slices.Contains([]string{"util", "utils", "common", "core", "helper", "helpers", "manager", "misc", "base"}, n) {
			t.Errorf("package %s says nothing by its name", s.pkg)
		}
	}
}

// uses reports the selectors pkg.Name that a file uses of an imported package.
func uses(s source, path string) (out []string) {
	name := filepath.Base(path)
	for _, i := range s.file.Imports {
		if p, _ := strconv.Unquote(i.Path.Value); p == path && i.Name != nil {
			name = i.Name.Name
		}
	}
	if !slices.Contains(imports(s), path) {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == name && x.Obj == nil {
				out = append(out, sel.Sel.Name)
			}
		}
		return true
	})
	return out
}

// TestOnlyServiceOpensSockets: limits, deadlines and metrics are in one place.
func TestOnlyServiceOpensSockets(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		if s.test || support(s.pkg) || s.pkg == "internal/service" || !strings.HasPrefix(s.pkg, "internal/") && !strings.HasPrefix(s.pkg, "cmd/") {
			continue
		}
		for _, u := range uses(s, "net") {
			if u != "Listener" && (strings.HasPrefix(u, "Dial") || strings.HasPrefix(u, "Listen")) {
				t.Errorf("%s uses net.%s; package service listens and dials", s.path, u)
			}
		}
		for _, u := range uses(s, "net/http") {
			if strings.HasPrefix(u, "Listen") || u == "DefaultClient" || u == "DefaultTransport" || u == "Get" {
				t.Errorf("%s uses http.%s; package service listens and dials", s.path, u)
			}
		}
	}
}

// TestOnlyTheTopReadsTheEnvironment: everything else is told what to do.
func TestOnlyTheTopReadsTheEnvironment(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		if s.test || strings.HasPrefix(s.pkg, "cmd/") || s.pkg == "internal/server" || strings.HasPrefix(s.pkg, "bench") {
			continue
		}
		for _, u := range uses(s, "os") {
			if u == "Getenv" || u == "LookupEnv" || u == "Environ" || u == "Args" {
				t.Errorf("%s uses os.%s", s.path, u)
			}
		}
		if slices.Contains(imports(s), "flag") {
			t.Errorf("%s imports flag", s.path)
		}
	}
}

// mayPanic are files with a panic and its reason.
var mayPanic = []string{
	"internal/model/model.go",    // no randomness: identities would not be identities
	"internal/kv/pebble/open.go", // pebble's Fatalf must not return; we recover it
}

// TestNoPanics: a panic is for what the program itself got wrong, and stands
// with its reason; control flow is by errors.
func TestNoPanics(t *testing.T) {
	_, all := sources(t)
	for _, s := range all {
		if s.test || support(s.pkg) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if id, ok := c.Fun.(*ast.Ident); ok && id.Name == "panic" && !slices.Contains(mayPanic, s.path) {
				t.Errorf("%s panics", s.path)
			}
			return true
		})
	}
}

// TestDependenciesHaveReasons: every direct dependency stands in
// doc/dependencies.md.
func TestDependenciesHaveReasons(t *testing.T) {
	mod, err := os.ReadFile(root + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(root + "/doc/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(mod), "\n") {
		f := strings.Fields(line)
		if strings.HasPrefix(line, "\t") && !strings.Contains(line, "// indirect") && len(f) >= 2 && !bytes.Contains(doc, []byte("`"+f[0]+"`")) {
			t.Errorf("%s has no line in doc/dependencies.md", f[0])
		}
	}
}
