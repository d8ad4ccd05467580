package postgres

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"rialto/internal/kv"
	"rialto/internal/kv/postgres/pgtest"
)

// pair is a primary with a standby, and options that find whichever is primary.
func newPair(t *testing.T, synchronous bool) (primary, standby *pgtest.Cluster, o Options) {
	t.Helper()
	primary, err := pgtest.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(primary.Remove)
	if standby, err = primary.Standby("second"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Remove)
	if synchronous {
		if err := primary.Exec("ALTER SYSTEM SET synchronous_standby_names = 'second'"); err != nil {
			t.Fatal(err)
		}
		if err := primary.Exec("SELECT pg_reload_conf()"); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "the standby", func() bool {
		n, err := primary.Query("SELECT count(*)::text FROM pg_stat_replication WHERE state = 'streaming'")
		return err == nil && n == "1"
	})
	o = testOptions()
	o.URL = fmt.Sprintf("postgres://postgres@/postgres?host=%s",
		url.QueryEscape(primary.Socket()+","+standby.Socket()))
	return primary, standby, o
}

// TestSynchronousStandby: a promotion loses nothing, and yet the old process
// does not carry on by itself.
func TestSynchronousStandby(t *testing.T) {
	primary, standby, o := newPair(t, true)
	db := open(t, o)
	for i := range 20 {
		wait(t, set(t, db, "n", fmt.Sprint(i), fmt.Sprint("k", i), "x"))
	}
	want := dump(t, db, kv.Range{})
	promote(t, primary, standby)
	wantErr(t, "Wait", set(t, db, "n", "lost").Wait(t.Context()), kv.ErrPoisoned)
	wantDead(t, db, errTimeline)
	wantErr(t, "Close", db.Close(), kv.ErrPoisoned)
	if err := standby.Exec("ALTER SYSTEM RESET synchronous_standby_names"); err != nil {
		t.Fatal(err)
	}
	if err := standby.Exec("SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	again := open(t, o)
	if got := dump(t, again, kv.Range{}); got != want {
		t.Fatalf("after the promotion\n%s\nwant\n%s", got, want)
	}
	wait(t, set(t, again, "n", "20"))
}

func promote(t *testing.T, primary, standby *pgtest.Cluster) {
	t.Helper()
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
}

// TestLostTail: the standby misses commits that were answered, and even the
// open that made them. Readers and writers of the old process find out.
func TestLostTail(t *testing.T) {
	for _, finds := range []string{"reader", "writer"} {
		t.Run(finds, func(t *testing.T) {
			primary, standby, o := newPair(t, false)
			first := open(t, o)
			wait(t, set(t, first, "a", "1"))
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the standby to have it", func() bool {
				n, err := primary.Query("SELECT count(*)::text FROM pg_stat_replication WHERE flush_lsn >= pg_current_wal_flush_lsn()")
				return err == nil && n == "1"
			})
			if err := standby.Stop(); err != nil {
				t.Fatal(err)
			}
			db := open(t, o)
			lost := set(t, db, "a", "2", "b", "2")
			wait(t, lost)
			if err := primary.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := standby.Start(); err != nil {
				t.Fatal(err)
			}
			if err := standby.Promote(); err != nil {
				t.Fatal(err)
			}
			if finds == "reader" {
				_, err := db.Get(t.Context(), []byte("never seen"))
				wantErr(t, "Get", err, kv.ErrPoisoned)
			} else {
				wantErr(t, "Wait", set(t, db, "c", "3").Wait(t.Context()), kv.ErrPoisoned)
			}
			wantDead(t, db, errTimeline)
			wantErr(t, "Close", db.Close(), kv.ErrPoisoned)
			again := open(t, o)
			if got := dump(t, again, kv.Range{}); got != "a=1 " {
				t.Fatalf("after the promotion: %s", got)
			}
			if again.Epoch() <= db.Epoch() || set(t, again, "d", "1").Sequence() <= lost.Sequence() {
				t.Fatalf("epoch %d after %d: sequences are given twice", again.Epoch(), db.Epoch())
			}
		})
	}
}

// TestCancelledStandbyWait: an administrator who cancels the wait for the
// standby makes the server answer, but nothing durable.
func TestCancelledStandbyWait(t *testing.T) {
	primary, standby, o := newPair(t, true)
	db := open(t, o)
	wait(t, set(t, db, "a", "1"))
	if err := standby.Stop(); err != nil {
		t.Fatal(err)
	}
	c := set(t, db, "a", "2")
	begun := func(other string) (at string) {
		waitFor(t, "the wait for the standby", func() bool {
			var err error
			at, err = primary.Query(fmt.Sprintf("SELECT coalesce(max(xact_start)::text, '') FROM pg_stat_activity WHERE pid = %d AND wait_event = 'SyncRep'", db.lease.pid))
			return err == nil && at != "" && at != other
		})
		return at
	}
	last := ""
	for range 3 {
		last = begun(last)
		if db.Durable() >= c.Sequence() {
			t.Fatal("durable without the standby")
		}
		if err := primary.Exec(fmt.Sprintf("SELECT pg_cancel_backend(%d)", db.lease.pid)); err != nil {
			t.Fatal(err)
		}
	}
	begun(last)
	if err := standby.Start(); err != nil {
		t.Fatal(err)
	}
	wait(t, c)
}

// TestCancelledStandbyWaitAtOpen: an open, too, is one only when the standby has
// it: what the owner before left on the primary alone would be read as durable.
func TestCancelledStandbyWaitAtOpen(t *testing.T) {
	primary, standby, o := newPair(t, true)
	if err := open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Stop(); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		db, err := Open(context.Background(), o)
		if err == nil {
			err = db.Close()
		}
		opened <- err
	}()
	last := ""
	for range 2 {
		var pid string
		waitFor(t, "the wait for the standby", func() bool {
			at, err := primary.Query("SELECT coalesce(max(pid || ' ' || xact_start::text), '') FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
			if err != nil || at == "" || at == last {
				return false
			}
			pid, _, _ = strings.Cut(at, " ")
			last = at
			return true
		})
		if err := primary.Exec("SELECT pg_cancel_backend(" + pid + ")"); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-opened:
		t.Fatalf("open without the standby: %v", err)
	default:
	}
	if err := standby.Start(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
}
