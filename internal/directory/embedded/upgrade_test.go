package embedded

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"rialto/internal/directory"
	"rialto/internal/kv"
	"rialto/internal/kv/memory"
)

// stored loads the rows of a tree that the first version wrote: pairs of a key
// and a value, each with its length before it.
func stored(t *testing.T, name string) *memory.DB {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(z)
	next := func() ([]byte, error) {
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return nil, err
		}
		b := make([]byte, n)
		_, err = io.ReadFull(r, b)
		return b, err
	}
	db := memory.New(memory.Options{})
	b := db.NewBatch()
	for {
		k, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		v, err2 := next()
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		b.Set(k, v)
	}
	if _, err := db.Commit(ctx, b); err != nil {
		t.Fatal(err)
	}
	return db
}

// schemaEntries renders the schema naming context without what differs by
// nature.
func schemaEntries(t *testing.T, d *DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	_, err := d.Search(ctx, directory.AsSystem, &directory.Search{Base: d.Root().Schema, Scope: directory.One}, func(e *directory.Entry) error {
		var lines []string
		for _, a := range e.Attributes {
			switch a.Name {
			case "objectGUID", "uSNCreated", "uSNChanged", "whenCreated", "whenChanged":
				continue
			}
			lines = append(lines, a.Name+"="+strings.Join(directoryTexts(a), "|"))
		}
		slices.Sort(lines)
		out[e.DN] = strings.Join(lines, "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func directoryTexts(a directory.Attribute) []string {
	var out []string
	for _, v := range a.Values {
		out = append(out, string(v))
	}
	return out
}

// TestUpgradeSchema: a tree of the first version, whose schema was a part of the
// real one under other names, becomes what a new one is; stopped anywhere, it
// goes on.
func TestUpgradeSchema(t *testing.T) {
	for name, fresh := range map[string]*DB{"testdata/tree-1.gz": newDB(t), "testdata/tree-1-exchange.gz": extended(t)} {
		want := schemaEntries(t, fresh)
		disk := stored(t, name)
		for n := 0; ; n += 1 + n/4 {
			c, cancel := context.WithCancel(ctx)
			d, err := Open(c, &stopping{DB: disk, left: n, stop: cancel}, Options{DNSDomain: "contoso.test", DNSHost: "mail.contoso.test"})
			cancel()
			if err == nil {
				break
			}
			if d != nil || n > 200 {
				t.Fatalf("%s: stopped after %d batches: %v", name, n, err)
			}
		}
		d := open(t, disk)
		got := schemaEntries(t, d)
		for dn, e := range want {
			if got[dn] != e {
				t.Fatalf("%s: %s is\n%s\nnot\n%s", name, dn, got[dn], e)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d schema objects, want %d", name, len(got), len(want))
		}
		e, err := directory.Get(ctx, d, directory.AsSystem, "CN=alice,"+users)
		if err != nil || e.Text("objectCategory") != "CN=Person,CN=Schema,CN=Configuration,"+domain {
			t.Errorf("%s: alice: %v %v", name, e, err)
		}
		usn := d.Root().HighestUSN
		if again := open(t, disk); again.Root().HighestUSN != usn {
			t.Errorf("%s: opened again, it changes something", name)
		}
	}
}

// stopping is a map whose user is stopped after so many commits.
type stopping struct {
	kv.DB
	left int
	stop func()
}

func (s *stopping) Commit(ctx context.Context, b kv.Batch) (kv.Commit, error) {
	if s.left--; s.left < 0 {
		s.stop()
	}
	return s.DB.Commit(ctx, b)
}
