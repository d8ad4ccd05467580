package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/postgres/pgtest"
)

func open(t *testing.T, o Options) *DB {
	t.Helper()
	db, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func set(t *testing.T, db *DB, pairs ...string) kv.Commit {
	t.Helper()
	b := db.NewBatch()
	for i := 0; i < len(pairs); i += 2 {
		b.Set([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	c, err := db.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func wait(t *testing.T, c kv.Commit) {
	t.Helper()
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func dump(t testing.TB, r kv.Reader, rg kv.Range) string {
	t.Helper()
	out, err := scanned(r, rg)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func scanned(r kv.Reader, rg kv.Range) (string, error) {
	var out strings.Builder
	it := r.Scan(context.Background(), rg)
	for it.Next() {
		fmt.Fprintf(&out, "%s=%s ", it.Key(), it.Value())
	}
	err := it.Close()
	return out.String(), err
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: error %v, want %v", what, err, want)
	}
}

// wantDead checks that nothing is answered any more.
func wantDead(t *testing.T, db *DB, want error) {
	t.Helper()
	_, err := db.Get(t.Context(), []byte("a"))
	wantErr(t, "Get", err, want)
	_, err = db.NewSnapshot("late", time.Minute)
	wantErr(t, "NewSnapshot", err, want)
	b := db.NewBatch()
	b.Set([]byte("late"), nil)
	_, err = db.Commit(t.Context(), b)
	wantErr(t, "Commit", err, want)
}

// TestLostAnswer breaks the connection before a transaction leaves, and after
// its answer was sent: either way it takes effect once.
func TestLostAnswer(t *testing.T) {
	for _, happened := range []bool{false, true} {
		t.Run(fmt.Sprint("happened=", happened), func(t *testing.T) {
			o := testOptions()
			w := &wire{}
			o.dial = w.dial
			resolved := make(chan bool, 1)
			o.Events.Resolved = func(h bool) { resolved <- h }
			db := open(t, o)
			write := func(v string) {
				b := db.NewBatch()
				b.Set([]byte("a"), []byte(v))
				b.Delete([]byte("b"))
				b.DeleteRange([]byte("k"), []byte("l"))
				b.Set([]byte("k2"), []byte(v))
				c, err := db.Commit(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				wait(t, c)
			}
			write("1") // the server knows all statements then
			conn := db.conn.PgConn().Conn().(*wireConn)
			conn.loseAnswer.Store(happened)
			conn.loseRequest.Store(!happened)
			write("2")
			if h := <-resolved; h != happened {
				t.Fatalf("resolved as %v", h)
			}
			wait(t, set(t, db, "c", "1"))
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if got := dump(t, open(t, o), kv.Range{}); got != "a=2 c=1 k2=2 " {
				t.Fatalf("reopened: %s", got)
			}
		})
	}
}

// TestTerminated ends the committer's backend in the middle of a transaction.
func TestTerminated(t *testing.T) {
	o := testOptions()
	db := open(t, o)
	wait(t, set(t, db, "a", "1"))
	blocker := open(t, testOptions()) // any session will do
	tx, err := blocker.conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT 1 FROM "+db.sql.position+" FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	pid := db.lease.pid
	c := set(t, db, "a", "2")
	waitFor(t, "the transaction to hang", func() bool {
		n, err := cluster.Query(fmt.Sprintf("SELECT count(*)::text FROM pg_stat_activity WHERE pid = %d AND wait_event_type = 'Lock'", pid))
		return err == nil && n == "1"
	})
	if err := cluster.Exec(fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid)); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wait(t, c)
	if got := dump(t, db, kv.Range{}); got != "a=2 " {
		t.Fatalf("got %s", got)
	}
}

// TestFence: an opener that takes over is never disturbed by the old owner.
func TestFence(t *testing.T) {
	o := testOptions()
	old := open(t, o)
	wait(t, set(t, old, "a", "1"))
	takeover := o
	takeover.Takeover = true
	fresh := open(t, takeover)
	wait(t, set(t, fresh, "a", "2"))
	b := old.NewBatch()
	b.Set([]byte("a"), []byte("lost"))
	c, err := old.Commit(t.Context(), b)
	if err == nil {
		err = c.Wait(t.Context())
	}
	wantErr(t, "the old owner's commit", err, kv.ErrFenced)
	wantDead(t, old, kv.ErrFenced)
	wantErr(t, "Close", old.Close(), kv.ErrFenced)
	if got := dump(t, fresh, kv.Range{}); got != "a=2 " || fresh.Epoch() <= old.Epoch() {
		t.Fatalf("got %s in epoch %d after %d", got, fresh.Epoch(), old.Epoch())
	}
}

// TestFenceInTransaction: the epoch alone stops an owner whose session lives.
func TestFenceInTransaction(t *testing.T) {
	db := open(t, testOptions())
	wait(t, set(t, db, "a", "1"))
	if err := cluster.Exec("UPDATE " + db.sql.owner + " SET epoch = epoch + 1"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "Wait", set(t, db, "a", "2").Wait(t.Context()), kv.ErrFenced)
	wantDead(t, db, kv.ErrFenced)
	got, err := cluster.Query("SELECT convert_from(v, 'UTF8') FROM " + db.opts.Schema + ".r_head")
	if err != nil || got != "1" {
		t.Fatalf("the table holds %q, %v", got, err)
	}
}

// fullDisk makes transactions of db fail as on a full disk.
func fullDisk(t *testing.T, db *DB, full bool) {
	t.Helper()
	sql := "DROP TRIGGER full_disk ON " + db.sql.position
	if full {
		sql = fmt.Sprintf(`CREATE OR REPLACE FUNCTION %[1]s.full_disk() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$;
			CREATE TRIGGER full_disk BEFORE UPDATE ON %[2]s FOR EACH ROW EXECUTE FUNCTION %[1]s.full_disk()`, db.sql.schema, db.sql.position)
	}
	if err := cluster.Exec(sql); err != nil {
		t.Fatal(err)
	}
}

func TestDiskFull(t *testing.T) {
	db := open(t, testOptions())
	wait(t, set(t, db, "a", "1"))
	fullDisk(t, db, true)
	c := set(t, db, "a", "2", "b", "2")
	waitFor(t, "the disk to be full", db.full.Load)
	b := db.NewBatch()
	b.Set([]byte("more"), nil)
	_, err := db.Commit(t.Context(), b)
	wantErr(t, "Commit", err, kv.ErrNoSpace)
	b = db.NewBatch()
	b.Delete([]byte("b"))
	b.Reclaim()
	less, err := db.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	got, err := cluster.Query("SELECT string_agg(convert_from(v, 'UTF8'), ',') FROM " + db.opts.Schema + ".r_head")
	if err != nil || got != "1" {
		t.Fatalf("half a transaction: %q, %v", got, err)
	}
	fullDisk(t, db, false)
	wait(t, c)
	wait(t, less)
	if got := dump(t, db, kv.Range{}); got != "a=2 " {
		t.Fatalf("got %s", got)
	}
	fullDisk(t, db, true)
	db.patience.Store(int64(2 * time.Second))
	err = set(t, db, "c", "1").Wait(t.Context())
	wantErr(t, "Wait", err, kv.ErrPoisoned)
	wantErr(t, "Wait", err, kv.ErrNoSpace)
}

func TestOpenErrors(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"url":    {func(o *Options) { o.URL = "postgres://u:secret@[::1/x" }, "cannot be parsed"},
		"server": {func(o *Options) { o.URL = "postgres://u:secret@/x?host=/nowhere" }, "cannot be reached"},
		"schema": {func(o *Options) { o.Schema = `x"; DROP` }, "cannot be the name"},
		"table":  {func(o *Options) { o.Tables = []Table{{Name: "A"}} }, "cannot be the name"},
		"tables": {func(o *Options) { o.Tables = []Table{{Name: "a", From: []byte("x")}} }, "ascend"},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions()
			c.change(&o)
			_, err := Open(t.Context(), o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("error %v, want %s", err, c.want)
			}
		})
	}
	o := testOptions()
	db := open(t, o)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cluster.Exec("UPDATE " + db.sql.owner + " SET format = 99"); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), o)
	wantErr(t, "a newer format", err, kv.ErrFormat)
}

// TestPlainRole: the owner needs no more than CREATE on the database.
func TestPlainRole(t *testing.T) {
	if err := cluster.Exec("CREATE ROLE plain LOGIN; GRANT CREATE ON DATABASE postgres TO plain"); err != nil {
		t.Fatal(err)
	}
	o := testOptions()
	w := &wire{}
	o.dial = w.dial
	o.URL = strings.Replace(o.URL, "postgres@", "plain@", 1)
	db := open(t, o)
	wait(t, set(t, db, "a", "1"))
	w.cut(false)
	wait(t, set(t, db, "b", "1"))
	if got := dump(t, db, kv.Range{}); got != "a=1 b=1 " {
		t.Fatalf("got %s", got)
	}
}

// TestUnsafeServer: without fsync nothing would be durable.
func TestUnsafeServer(t *testing.T) {
	c, err := pgtest.New("fsync = off")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Remove()
	o := testOptions()
	o.URL = c.URL()
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "fsync") {
		t.Fatalf("error %v", err)
	}
}

// TestDamage: a page that fails its checksum is an error of its own kind, for a
// reader and for the committer, and settings that would hide it are refused.
func TestDamage(t *testing.T) {
	c, err := pgtest.New()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Remove()
	o := testOptions()
	o.URL = c.URL()
	db := open(t, o)
	wait(t, set(t, db, "a", "1"))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	path, err := c.Query("SELECT pg_relation_filepath('" + o.Schema + ".r_head')")
	if err == nil {
		err = c.Stop()
	}
	if err == nil {
		err = c.Flip(path, 8000, 8)
	}
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	db = open(t, o)
	_, err = db.Get(t.Context(), []byte("a"))
	wantErr(t, "Get", err, kv.ErrCorrupt)
	_, err = scanned(db, kv.Range{})
	wantErr(t, "Scan", err, kv.ErrCorrupt)
	err = set(t, db, "a", "2").Wait(t.Context())
	wantErr(t, "Wait", err, kv.ErrPoisoned)
	wantErr(t, "Wait", err, kv.ErrCorrupt)
	for _, name := range []string{"zero_damaged_pages", "ignore_checksum_failure"} {
		if err := c.Exec("ALTER ROLE postgres SET " + name + " = on"); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), name) {
			t.Fatalf("%s: error %v", name, err)
		}
		if err := c.Exec("ALTER ROLE postgres RESET " + name); err != nil {
			t.Fatal(err)
		}
	}
}
