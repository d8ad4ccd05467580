package postgres

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/postgres/pgtest"
)

// rowsFor fills a database: short values in all tables, and in the second long
// ones that are kept out of line.
func rowsFor(t *testing.T, db *DB) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for i := range 600 {
		for _, c := range "abk" {
			rows[fmt.Sprintf("%c%04d", c, i)] = strings.Repeat("v", 40+i%50)
		}
		if i%10 == 0 {
			rows[fmt.Sprintf("c%04d", i)] = strings.Repeat("long", 1000+i)
		}
	}
	b := db.NewBatch()
	for k, v := range rows {
		b.Set([]byte(k), []byte(v))
	}
	c, err := db.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	return rows
}

// flip inverts bytes in the middle of a page while the server is stopped.
func flip(t *testing.T, c *pgtest.Cluster, relation string, page int64) {
	t.Helper()
	path, err := c.Query("SELECT pg_relation_filepath('" + relation + "')")
	if err == nil {
		err = c.Stop()
	}
	if err == nil {
		err = c.Flip(path, page*8192+5000, 16)
	}
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestSalvage(t *testing.T) {
	c, err := pgtest.New("autovacuum = off")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Remove()
	query := func(format string, args ...any) string {
		t.Helper()
		s, err := c.Query(fmt.Sprintf(format, args...))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	// keys are those of the rows that a page holds.
	keys := func(table string, page int) []string {
		return strings.Fields(query(`SELECT coalesce(string_agg(convert_from(k, 'UTF8'), ' ' ORDER BY k), '') FROM %s
			WHERE ctid >= '(%d,0)' AND ctid < '(%d,0)'`, table, page, page+1))
	}
	for _, what := range []string{"nothing", "page", "value", "index", "owner"} {
		t.Run(what, func(t *testing.T) {
			o := testOptions()
			o.URL = c.URL()
			db := open(t, o)
			rows := rowsFor(t, db)
			_, err := Salvage(t.Context(), o, nil)
			wantErr(t, "an open database", err, kv.ErrLocked)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			table := o.Schema + ".r_lower"
			var gone []string // keys; nil with values: those that the report names
			values := 0
			switch what {
			case "page":
				if gone = keys(table, 3); len(gone) < 10 {
					t.Fatalf("page 3 has %d rows", len(gone))
				}
				flip(t, c, table, 3)
			case "value":
				toast := query("SELECT reltoastrelid::regclass::text FROM pg_class WHERE oid = '%s'::regclass", table)
				values = len(strings.Fields(query("SELECT string_agg(DISTINCT chunk_id::text, ' ') FROM %s WHERE ctid >= '(4,0)' AND ctid < '(5,0)'", toast)))
				flip(t, c, toast, 4)
			case "index":
				flip(t, c, table+"_pkey", 2)
			case "owner":
				flip(t, c, o.Schema+".owner", 0)
			}
			got := map[string]string{}
			s, err := Salvage(t.Context(), o, func(k, v []byte) error {
				got[string(k)] = string(v)
				return nil
			})
			if err != nil || s.Rows != len(got) {
				t.Fatalf("%d rows of %d: %v", len(got), s.Rows, err)
			}
			if what == "value" {
				gone = named(t, s.Damage)
				if len(gone) != values || values == 0 {
					t.Fatalf("%d values named, %d damaged: %q", len(gone), values, s.Damage)
				}
			}
			for _, k := range gone {
				delete(rows, k)
			}
			if !maps.Equal(got, rows) {
				t.Fatalf("%d rows, want %d", len(got), len(rows))
			}
			want := map[string]string{"page": "table r_lower, page 3: ", "owner": "the row of the owner: "}[what]
			if what != "value" && (want == "") != (len(s.Damage) == 0) || want != "" && (len(s.Damage) != 1 || !strings.HasPrefix(s.Damage[0], want)) {
				t.Fatalf("named: %q, want %q", s.Damage, want)
			}
		})
	}
}

// named are the keys of values in a report.
func named(t *testing.T, damage []string) (keys []string) {
	t.Helper()
	for _, d := range damage {
		var k []byte
		if _, err := fmt.Sscanf(d, "table r_lower, the value of key %x:", &k); err != nil {
			t.Fatalf("%q: %v", d, err)
		}
		keys = append(keys, string(bytes.TrimSpace(k)))
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// TestSwap: a database takes the place of another at once; the old one is kept
// and still opens, and an owner of before writes to neither.
func TestSwap(t *testing.T) {
	o := testOptions()
	fresh := o
	fresh.Schema += "_new"
	when := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	swap := func(want error) string {
		t.Helper()
		former, err := Swap(t.Context(), o, fresh.Schema, when)
		wantErr(t, "Swap", err, want)
		return former
	}
	put := func(o Options, v string) *DB {
		t.Helper()
		db := open(t, o)
		wait(t, set(t, db, "a", v))
		return db
	}
	old := put(o, "old")
	next := put(fresh, "new")
	swap(kv.ErrLocked)
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	swap(kv.ErrLocked)
	last := set(t, old, "b", "1").Sequence()
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
	former := swap(nil)
	if former != o.Schema+"_was26112210000000" {
		t.Fatalf("kept as %q", former)
	}
	db := open(t, o)
	if got := dump(t, db, kv.Range{}); got != "a=new " {
		t.Fatalf("got %s", got)
	}
	if s := set(t, db, "c", "1"); s.Sequence() <= last {
		t.Fatalf("sequence %d after %d", s.Sequence(), last)
	} else {
		wait(t, s)
	}
	back := o
	back.Schema = former
	kept := open(t, back)
	wait(t, set(t, kept, "d", "1"))
	if got := dump(t, kept, kv.Range{}); got != "a=old b=1 d=1 " {
		t.Fatalf("kept: %s", got)
	}
	if got := dump(t, db, kv.Range{}); got != "a=new c=1 " {
		t.Fatalf("got %s", got)
	}
	// In the place of nothing.
	o = testOptions()
	fresh.Schema = o.Schema + "_new"
	if err := put(fresh, "only").Close(); err != nil {
		t.Fatal(err)
	}
	if former := swap(nil); former != "" {
		t.Fatalf("kept %q", former)
	}
	if got := dump(t, open(t, o), kv.Range{}); got != "a=only " {
		t.Fatalf("got %s", got)
	}
	if _, err := Swap(t.Context(), o, fresh.Schema, when); err == nil {
		t.Fatal("swapped with nothing")
	}
}
