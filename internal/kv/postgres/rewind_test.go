package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/postgres/pgtest"
)

func rewound(t *testing.T, db *DB) *kv.Rewind {
	t.Helper()
	r, err := db.Rewound(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func closed(t *testing.T, db *DB) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func caughtUp(t *testing.T, primary *pgtest.Cluster) {
	t.Helper()
	waitFor(t, "the standby to have all", func() bool {
		n, err := primary.Query("SELECT count(*)::text FROM pg_stat_replication WHERE flush_lsn >= pg_current_wal_flush_lsn()")
		return err == nil && n == "1"
	})
}

// TestWitnessFollows: it is behind the commits at most for a moment, and final
// when the database has ended, whichever way.
func TestWitnessFollows(t *testing.T) {
	o := testOptions()
	o.Witness, o.tick = filepath.Join(t.TempDir(), "w"), time.Millisecond
	read := func() *witness {
		w, err := loadWitness(o.Witness)
		if err != nil || w == nil {
			t.Fatal(w, err)
		}
		return w
	}
	db := open(t, o)
	if w := read(); w.final || w.epoch != db.lease.epoch {
		t.Fatalf("open: %+v", w)
	}
	c := set(t, db, "a", "1")
	wait(t, c)
	waitFor(t, "the witness", func() bool { return read().position == c.Sequence() })
	if read().final {
		t.Error("final while the database is open")
	}
	closed(t, db)
	if w := read(); !w.final || w.position != c.Sequence() {
		t.Fatalf("closed: %+v", w)
	}
	db = open(t, o)
	if w := read(); w.final || w.position != c.Sequence() {
		t.Fatalf("opened: %+v", w)
	}
	c = set(t, db, "a", "2")
	wait(t, c)
	db.Abandon(errors.New("to be seen"))
	waitFor(t, "the final witness", func() bool { w := read(); return w.final && w.position == c.Sequence() })
	wantErr(t, "Close", db.Close(), kv.ErrPoisoned)
	next := open(t, o)
	if err := db.testify(c.Sequence(), true); err != nil || read().epoch != next.lease.epoch || read().final {
		t.Errorf("the former owner wrote %+v, %v", read(), err)
	}
	if r := rewound(t, next); r != nil {
		t.Errorf("%+v", r)
	}
	if err := os.RemoveAll(filepath.Dir(o.Witness)); err != nil {
		t.Fatal(err)
	}
	closed(t, next)
	if _, err := Open(t.Context(), o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("opened without a place for the witness: %v", err)
	}
}

// TestPointInTime restores a server with its own tools. What was found stays
// until it is settled; a second restore of the same backup is found as well and
// gives no number again.
func TestPointInTime(t *testing.T) {
	server, err := pgtest.New(pgtest.Archive)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Remove)
	o := testOptions()
	o.URL, o.Witness = server.URL(), filepath.Join(t.TempDir(), "w")
	db := open(t, o)
	wait(t, set(t, db, "a", "1"))
	if err := server.BaseBackup(); err != nil {
		t.Fatal(err)
	}
	wait(t, set(t, db, "b", "1"))
	if err := server.Mark("here"); err != nil {
		t.Fatal(err)
	}
	lost := set(t, db, "c", "1")
	wait(t, lost)
	closed(t, db)
	for range 2 {
		if err := server.Restore("here"); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the first crashes before it settles
			db = open(t, o)
			if r := rewound(t, db); r == nil || !r.Certain || time.Since(r.Found) > time.Hour {
				t.Fatalf("%+v", r)
			}
			if got := dump(t, db, kv.Range{}); got != "a=1 b=1 " {
				t.Fatal(got)
			}
			db.Abandon(errors.New("crash"))
			wantErr(t, "Close", db.Close(), kv.ErrPoisoned)
		}
		db = open(t, o)
		c := set(t, db, "c", "2")
		if c.Sequence() <= lost.Sequence() {
			t.Errorf("sequence %d again after %d", c.Sequence(), lost.Sequence())
		}
		if err := db.Settle(t.Context()); err != nil || rewound(t, db) != nil || db.Durable() < c.Sequence() {
			t.Fatal(err, rewound(t, db))
		}
		closed(t, db)
		db = open(t, o)
		if r := rewound(t, db); r != nil {
			t.Fatalf("settled, and found again: %+v", r)
		}
		lost = set(t, db, "d", "1")
		wait(t, lost)
		closed(t, db)
	}
}

// TestPromotions: a standby that has all is taken as it is, whether the owner
// closed the database or was cut off; with a lost tail, or where an owner was
// killed and nobody can know, the database counts as rewound.
func TestPromotions(t *testing.T) {
	for name, c := range map[string]struct {
		synchronous, behind, killed bool
		found, certain              bool
	}{
		"planned":                 {},
		"synchronous":             {synchronous: true},
		"lost tail":               {behind: true, found: true, certain: true},
		"both killed":             {synchronous: true, killed: true, found: true},
		"both killed, tail known": {behind: true, killed: true, found: true, certain: true},
	} {
		t.Run(name, func(t *testing.T) {
			primary, standby, o := newPair(t, c.synchronous)
			o.Witness, o.tick = filepath.Join(t.TempDir(), "w"), time.Millisecond
			db := open(t, o)
			wait(t, set(t, db, "a", "1"))
			if !c.synchronous {
				caughtUp(t, primary)
			}
			if c.behind {
				if err := standby.Stop(); err != nil {
					t.Fatal(err)
				}
				wait(t, set(t, db, "b", "1"))
			}
			var killed []byte // the witness of a process that has no time for a final one
			waitFor(t, "the witness", func() bool {
				var err error
				killed, err = os.ReadFile(o.Witness)
				if err != nil {
					return false
				}
				w, err := decodeWitness(killed)
				return err == nil && w.position == db.Durable()
			})
			if name == "planned" {
				closed(t, db)
				caughtUp(t, primary)
			}
			if err := primary.Kill(); err != nil {
				t.Fatal(err)
			}
			if c.behind {
				if err := standby.Start(); err != nil {
					t.Fatal(err)
				}
			}
			if err := standby.Promote(); err != nil {
				t.Fatal(err)
			}
			if c.synchronous {
				if err := errors.Join(standby.Exec("ALTER SYSTEM RESET synchronous_standby_names"), standby.Exec("SELECT pg_reload_conf()")); err != nil {
					t.Fatal(err)
				}
			}
			if name != "planned" {
				wantErr(t, "Wait", set(t, db, "z", "1").Wait(t.Context()), kv.ErrPoisoned)
				wantErr(t, "Close", db.Close(), kv.ErrPoisoned)
			}
			if c.killed {
				if err := os.WriteFile(o.Witness, killed, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			again := open(t, o)
			if r := rewound(t, again); (r != nil) != c.found || r != nil && r.Certain != c.certain {
				t.Fatalf("%+v", r)
			}
		})
	}
}

// TestSwapKeepsFinding: a repair of a database that came back to an earlier
// state, before anybody opened it, does not hide that; Drop forgets the witness.
func TestSwapKeepsFinding(t *testing.T) {
	o := testOptions()
	o.Witness = filepath.Join(t.TempDir(), "w")
	db := open(t, o)
	wait(t, set(t, db, "a", "1"))
	closed(t, db)
	fresh := testOptions()
	for _, damaged := range []bool{false, true} {
		closed(t, open(t, fresh))
		sql := "UPDATE " + db.sql.position + " SET seq = 1"
		if damaged {
			sql = "DELETE FROM " + db.sql.position
		}
		if err := cluster.Exec(sql); err != nil {
			t.Fatal(err)
		}
		if _, err := Swap(t.Context(), o, fresh.Schema, time.Now().Add(time.Duration(len(sql))*time.Hour)); err != nil {
			t.Fatal(err)
		}
		next := open(t, o)
		if r := rewound(t, next); r == nil || r.Certain == damaged {
			t.Fatalf("%+v", r)
		}
		if next.lease.epoch <= db.lease.epoch {
			t.Errorf("epoch %d after %d", next.lease.epoch, db.lease.epoch)
		}
		if err := next.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		closed(t, next)
	}
	if err := Drop(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(o.Witness); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the witness is still there: %v", err)
	}
}
