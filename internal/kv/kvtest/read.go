package kvtest

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"rialto/internal/kv"
)

func testGet(t *testing.T, h Harness) {
	db := open(t, h)
	wantNone(t, db, "a")
	set(t, db, "a", "1", "empty", "")
	wantGet(t, db, "a", "1")
	wantGet(t, db, "empty", "")
	set(t, db, "a", "2")
	wantGet(t, db, "a", "2")
	commit(t, db, func(b kv.Batch) { b.Delete([]byte("a")); b.Delete([]byte("never")) })
	wantNone(t, db, "a")
}

func testGetMany(t *testing.T, h Harness) {
	db := open(t, h)
	set(t, db, "a", "1", "b", "", "c", "3")
	s := snap(t, db)
	defer s.Close()
	for _, r := range []kv.Reader{db, s} {
		got, err := r.GetMany(bg, [][]byte{[]byte("c"), []byte("x"), []byte("b"), []byte("a"), []byte("c")})
		if err != nil || len(got) != 5 {
			t.Fatalf("GetMany = %q, %v", got, err)
		}
		if string(got[0]) != "3" || got[1] != nil || got[2] == nil || len(got[2]) != 0 ||
			string(got[3]) != "1" || string(got[4]) != "3" {
			t.Fatalf("GetMany = %q", got)
		}
		if got, err := r.GetMany(bg, nil); err != nil || len(got) != 0 {
			t.Fatalf("GetMany of nothing = %q, %v", got, err)
		}
	}
}

func testScan(t *testing.T, h Harness) {
	db := open(t, h)
	wantList(t, db, kv.Range{}, "")
	set(t, db, "b", "2", "a", "1", "d", "4", "c", "3", "a\x00", "0", "\xff\xff", "9")
	for _, c := range []struct {
		r    kv.Range
		want string
	}{
		{kv.Range{}, "a=1 a\x00=0 b=2 c=3 d=4 \xff\xff=9"},
		{kv.Range{Reverse: true}, "\xff\xff=9 d=4 c=3 b=2 a\x00=0 a=1"},
		{kv.Range{Lower: []byte("b")}, "b=2 c=3 d=4 \xff\xff=9"},
		{kv.Range{Upper: []byte("c")}, "a=1 a\x00=0 b=2"},
		{kv.Range{Lower: []byte("b"), Upper: []byte("d")}, "b=2 c=3"},
		{kv.Range{Lower: []byte("b"), Upper: []byte("d"), Reverse: true}, "c=3 b=2"},
		{kv.Range{Lower: []byte("bb"), Upper: []byte("cc"), Reverse: true}, "c=3"},
		{kv.Range{Lower: []byte("b"), Limit: 2}, "b=2 c=3"},
		{kv.Range{Upper: []byte("d"), Limit: 2, Reverse: true}, "c=3 b=2"},
		{kv.Range{Limit: 3, Prefetch: 1}, "a=1 a\x00=0 b=2"},
		{kv.Range{Limit: 100}, "a=1 a\x00=0 b=2 c=3 d=4 \xff\xff=9"},
		{kv.Range{Lower: []byte("c"), Upper: []byte("c")}, ""},
		{kv.Range{Lower: []byte("e"), Upper: []byte("f")}, ""},
		{kv.Range{Lower: []byte("a\x00"), Upper: []byte("a\x01")}, "a\x00=0"},
	} {
		wantList(t, db, c.r, c.want)
		s := snap(t, db)
		wantList(t, s, c.r, c.want)
		s.Close()
	}
}

// testScanState: a scan sees one state, whatever is committed meanwhile.
func testScanState(t *testing.T, h Harness) {
	db := open(t, h)
	set(t, db, "a", "1", "b", "1", "c", "1")
	it := db.Scan(bg, kv.Range{})
	if !it.Next() {
		t.Fatal("nothing to scan")
	}
	set(t, db, "b", "2", "bb", "2")
	commit(t, db, func(b kv.Batch) { b.Delete([]byte("c")) })
	got := string(it.Key()) + string(it.Value())
	for it.Next() {
		got += " " + string(it.Key()) + string(it.Value())
	}
	if err := it.Close(); err != nil || got != "a1 b1 c1" {
		t.Fatalf("scan = %s, %v", got, err)
	}
	if it.Next() {
		t.Fatal("a closed iterator went on")
	}
	wantList(t, db, kv.Range{}, "a=1 b=2 bb=2")
}

// testOwnership: slices passed in are copied, slices given out are the caller's.
func testOwnership(t *testing.T, h Harness) {
	db := open(t, h)
	key, value := []byte("key"), []byte("value")
	b := db.NewBatch()
	b.Set(key, value)
	copy(key, "xxx")
	copy(value, "xxxxx")
	if _, err := db.Commit(bg, b); err != nil {
		t.Fatal(err)
	}
	wantGet(t, db, "key", "value")
	v, _ := db.Get(bg, []byte("key"))
	copy(v, "yyyyy")
	wantGet(t, db, "key", "value")
	lower, upper := []byte("k"), []byte("l")
	it := db.Scan(bg, kv.Range{Lower: lower, Upper: upper})
	lower[0], upper[0] = 'z', 'a'
	if !it.Next() || string(it.Value()) != "value" {
		t.Fatal("the bounds of a scan were not copied")
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
}

func testSnapshot(t *testing.T, h Harness) {
	db := open(t, h)
	set(t, db, "a", "1", "b", "1")
	s := snap(t, db)
	set(t, db, "a", "2", "c", "2")
	commit(t, db, func(b kv.Batch) { b.DeleteRange([]byte("b"), []byte("c")) })
	wantGet(t, s, "a", "1")
	wantNone(t, s, "c")
	wantList(t, s, kv.Range{}, "a=1 b=1")
	wantList(t, s, kv.Range{Reverse: true, Limit: 1}, "b=1")
	wantList(t, db, kv.Range{}, "a=2 c=2")
	s.Close()
	s.Close()
	_, err := s.Get(bg, []byte("a"))
	wantErr(t, "get on a closed snapshot", err, kv.ErrClosed)
}

func testSnapshotExpiry(t *testing.T, h Harness) {
	db := open(t, h)
	set(t, db, "a", "1", "b", "2")
	s, err := db.NewSnapshot("slow reader", 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	it := s.Scan(bg, kv.Range{})
	if !it.Next() {
		t.Fatal("nothing to scan")
	}
	time.Sleep(120 * time.Millisecond)
	_, err = s.Get(bg, []byte("a"))
	wantErr(t, "Get", err, kv.ErrSnapshotExpired)
	_, err = s.GetMany(bg, [][]byte{[]byte("a")})
	wantErr(t, "GetMany", err, kv.ErrSnapshotExpired)
	wantErr(t, "Scan", s.Scan(bg, kv.Range{}).Close(), kv.ErrSnapshotExpired)
	if string(it.Key()) != "a" || string(it.Value()) != "1" {
		t.Fatal("Key and Value did not outlive the snapshot")
	}
	if it.Next() {
		t.Fatal("an iterator outlived its snapshot")
	}
	wantErr(t, "iterator", it.Close(), kv.ErrSnapshotExpired)
	wantGet(t, db, "a", "1")
}

func testContext(t *testing.T, h Harness) {
	db := open(t, h)
	set(t, db, "a", "1")
	ctx, cancel := context.WithCancel(bg)
	it := db.Scan(ctx, kv.Range{})
	cancel()
	_, err := db.Get(ctx, []byte("a"))
	wantErr(t, "Get", err, context.Canceled)
	_, err = db.GetMany(ctx, [][]byte{[]byte("a")})
	wantErr(t, "GetMany", err, context.Canceled)
	if it.Next() {
		t.Fatal("a scan went on after its context")
	}
	wantErr(t, "Scan", it.Close(), context.Canceled)
	b := db.NewBatch()
	b.Set([]byte("a"), []byte("2"))
	_, err = db.Commit(ctx, b)
	wantErr(t, "Commit", err, context.Canceled)
	wantGet(t, db, "a", "1")
}

func testSizes(t *testing.T, h Harness) {
	db := open(t, h)
	longest, biggest := bytes.Repeat([]byte("k"), kv.MaxKey), bytes.Repeat([]byte("v"), kv.MaxValue)
	c := commit(t, db, func(b kv.Batch) { b.Set(longest, biggest) })
	wait(t, c)
	wantGet(t, db, string(longest), string(biggest))
	for name, fill := range map[string]func(kv.Batch){
		"empty key":         func(b kv.Batch) { b.Set(nil, nil) },
		"empty key deleted": func(b kv.Batch) { b.Delete(nil) },
		"key":               func(b kv.Batch) { b.Set(append(longest, 'k'), nil) },
		"value":             func(b kv.Batch) { b.Set([]byte("k"), append(biggest, 'v')) },
		"deleted key":       func(b kv.Batch) { b.Delete(append(longest, 'k')) },
		"bound":             func(b kv.Batch) { b.DeleteRange([]byte("a"), append(longest, 'k')) },
		"batch": func(b kv.Batch) {
			for i := range kv.MaxBatch / kv.MaxValue {
				b.Set([]byte{byte(i)}, biggest)
			}
		},
	} {
		b := db.NewBatch()
		b.Set([]byte("other"), []byte("x"))
		fill(b)
		_, err := db.Commit(bg, b)
		wantErr(t, name, err, kv.ErrTooLarge)
		wantNone(t, db, "other")
	}
	// A batch of just under the limit, and Size and Count on the way.
	b := db.NewBatch()
	value := biggest[:kv.MaxValue-1]
	for i := range kv.MaxBatch / kv.MaxValue {
		b.Set([]byte{byte(i)}, value)
	}
	if b.Size() != kv.MaxBatch || b.Count() != kv.MaxBatch/kv.MaxValue {
		t.Fatalf("size %d, count %d", b.Size(), b.Count())
	}
	full, err := db.Commit(bg, b)
	if err != nil {
		t.Fatal(err)
	}
	wait(t, full)
	if got := list(t, db, kv.Range{Upper: []byte{kv.MaxBatch / kv.MaxValue}}); strings.Count(got, "=") != kv.MaxBatch/kv.MaxValue {
		t.Fatal("the full batch is not all there")
	}
}
