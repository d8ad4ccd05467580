package fsck_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/postgres"
	"rialto/internal/kv/postgres/pgtest"
	"rialto/internal/store"
	"rialto/internal/store/fsck"
)

// TestRepairOnPostgres damages pages of a database in a server, and finds that
// each item is there as it was, or named as lost; the damaged rows are kept.
func TestRepairOnPostgres(t *testing.T) {
	server, err := pgtest.New("autovacuum = off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	for n, c := range []struct {
		name, relation string
		pages          []int64
		loses          bool
	}{
		{"nothing", "%s.r_pairs", nil, false},
		{"an index", "%s.r_pairs_pkey", []int64{1, 3}, false},
		{"a page", "%s.r_pairs", []int64{9}, true},
		{"many pages", "%s.r_pairs", []int64{5, 6, 7, 20, 21, 30}, true},
		{"values out of line", "(SELECT reltoastrelid FROM pg_class WHERE oid = '%s.r_pairs'::regclass)", []int64{3, 40}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := postgres.Options{URL: server.URL(), Schema: fmt.Sprint("damaged_", n), Once: store.Once}
			bodies := manyItems(t, func() (kv.DB, error) { return postgres.Open(ctx, o) })
			relation := fmt.Sprintf(c.relation, o.Schema)
			if !strings.HasPrefix(relation, "(") {
				relation = "'" + relation + "'::regclass"
			}
			path, err := server.Query("SELECT pg_relation_filepath(" + relation + ")")
			if err == nil {
				err = server.Stop()
			}
			for _, p := range c.pages {
				if err == nil {
					err = server.Flip(path, p*8192+4000, 8)
				}
			}
			if err == nil {
				err = server.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			rep, found := repairedSchema(t, o)
			if (len(found.Damage) > 0) != c.loses || strings.HasSuffix(c.relation, "pairs") && len(found.Damage) != len(c.pages) {
				t.Errorf("damage named: %q", found.Damage)
			}
			if (len(rep.Losses) > 0) != c.loses || len(rep.Problems) > 0 {
				t.Errorf("losses %v, problems %q", rep.Losses[:min(3, len(rep.Losses))], rep.Problems)
			}
			e, err := postgres.Open(ctx, o)
			if err != nil {
				t.Fatal(err)
			}
			d, err := store.Open(ctx, e, repairOptions)
			if err != nil {
				t.Fatal(err)
			}
			lost, nameless := map[string]bool{}, 0
			for _, l := range rep.Losses {
				lost[l.Subject] = true
				nameless += l.Items
				if l.Subject == "" && strings.HasPrefix(l.What, "its subject") {
					nameless++ // its folder and its date are told
				}
			}
			for _, n := range rep.Notes {
				if strings.HasSuffix(n, "they are not counted") { // it is told that some may be missing, not how many
					nameless += len(bodies)
				}
			}
			there := whatIsThere(t, d)
			gone := 0
			for subject, text := range bodies {
				switch {
				case there[subject] == text:
				case lost[subject]:
					gone++
				case there[subject] == "" && nameless > 0:
					nameless--
					gone++
				default:
					t.Errorf("%q is not there as it was, and nothing says so: %.60q", subject, there[subject])
				}
			}
			t.Logf("%d of %d items are whole; %d losses, %q", len(bodies)-gone, len(bodies), len(rep.Losses), found.Damage[:min(2, len(found.Damage))])
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// repairedSchema salvages a schema, repairs the result and puts it in its place.
func repairedSchema(t *testing.T, o postgres.Options) (*fsck.Repaired, *postgres.Salvaged) {
	t.Helper()
	fresh := o
	fresh.Schema += "_new"
	e, err := postgres.Open(ctx, fresh)
	if err != nil {
		t.Fatal(err)
	}
	b := e.NewBatch()
	found, err := postgres.Salvage(ctx, o, func(k, v []byte) error { b.Set(k, v); return nil })
	if err == nil {
		_, err = e.Commit(ctx, b)
	}
	if err != nil {
		t.Fatal(err)
	}
	rep, err := store.Repair(ctx, e, repairOptions)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	former, err := postgres.Swap(ctx, o, fresh.Schema, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o.Schema = former
	kept := 0
	if _, err := postgres.Salvage(ctx, o, func(_, _ []byte) error { kept++; return nil }); err != nil || kept != found.Rows {
		t.Errorf("%d rows are kept of %d, %v", kept, found.Rows, err)
	}
	return rep, found
}
