package server

import (
	"os"
	"strings"
	"testing"

	"rialto/internal/model"
)

func TestSetEngine(t *testing.T) {
	dir := t.TempDir()
	c := &Config{Server: "mail", DNSDomain: "contoso.test", DataDir: dir}
	if err := c.SetEngine("mysql://x"); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("another kind of server: %v", err)
	}
	if err := c.SetEngine("postgres://u:secret@db/mail"); err != nil || len(c.Instance) != 32 {
		t.Fatalf("instance %q, %v", c.Instance, err)
	}
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadConfig(dir)
	if err != nil || loaded.Engine != c.Engine || loaded.Instance != c.Instance {
		t.Fatalf("%+v, %v", loaded, err)
	}
	if strings.Contains(loaded.String(), "secret") {
		t.Errorf("%s shows the password", loaded)
	}
	if err := loaded.SetEngine("postgres://u:changed@db2/mail"); err != nil || loaded.Instance != c.Instance {
		t.Errorf("a new password made instance %q, %v", loaded.Instance, err)
	}
	if st, err := os.Stat(dir + "/rialto.toml"); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

// TestEngineStays: a server with its databases in files does not lose sight of
// them, and a file that was edited by halves is refused.
func TestEngineStays(t *testing.T) {
	dir := t.TempDir()
	c := &Config{Server: "mail", DNSDomain: "contoso.test", DataDir: dir}
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := loaded.SetEngine("postgres://db/mail"); !model.IsKind(err, model.KindConflict) {
		t.Errorf("changed the engine: %v", err)
	}
	loaded.Engine = "postgres://db/mail"
	if err := loaded.Save(); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadConfig(dir); !model.IsKind(err, model.KindInvalid) {
		t.Errorf("an engine without an instance: %v", err)
	}
}
