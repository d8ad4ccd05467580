package content

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"rialto/internal/kv"
	"rialto/internal/kv/memory"
	"rialto/internal/model"
)

// plain hides the segments of an engine.
type plain struct{ kv.DB }

// faulty is an engine whose segments fail when told to.
type faulty struct {
	*memory.DB
	mu      sync.Mutex
	writes  error         // of the next writes
	syncing chan struct{} // if not nil: a sync says that it runs, then waits
	resume  chan struct{}
}

type faultySegments struct {
	kv.Segments
	f *faulty
}

type faultyWriter struct {
	kv.SegmentWriter
	f *faulty
}

func (f *faulty) Segments() kv.Segments { return faultySegments{f.DB.Segments(), f} }

func (s faultySegments) Create(n uint64) (kv.SegmentWriter, error) {
	w, err := s.Segments.Create(n)
	return faultyWriter{w, s.f}, err
}

func (w faultyWriter) Write(p []byte) (int, error) {
	w.f.mu.Lock()
	defer w.f.mu.Unlock()
	if w.f.writes != nil {
		return 0, w.f.writes
	}
	return w.SegmentWriter.Write(p)
}

func (w faultyWriter) Sync() error {
	w.f.mu.Lock()
	c := w.f.syncing
	w.f.syncing = nil
	w.f.mu.Unlock()
	if c != nil {
		close(c)
		<-w.f.resume
	}
	return w.SegmentWriter.Sync()
}

func (f *faulty) failWrites(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = err
}

// bench is a content store with a clock of its own.
type bench struct {
	*testing.T
	db  kv.DB
	s   *Store
	now time.Time
	row uint64
}

func newBench(t *testing.T, db kv.DB) *bench {
	b := &bench{T: t, db: db, now: time.Unix(1e9, 0)}
	b.open()
	return b
}

func (b *bench) open() {
	b.Helper()
	s, err := Open(b.Context(), b.db, Options{InlineMax: 100, SegmentSize: 300 << 10, Grace: time.Minute, Clock: func() time.Time { return b.now }})
	if err != nil {
		b.Fatal(err)
	}
	b.s = s
}

// noise is octets that do not compress.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewPCG(seed, 1)
	for i := range b {
		b[i] = byte(r.Uint64())
	}
	return b
}

func (b *bench) stage(data []byte) *Staged {
	b.Helper()
	w := b.s.NewWriter(b.Context())
	defer w.Abort()
	if _, err := w.Write(data); err != nil {
		b.Fatal(err)
	}
	st, err := w.Finish(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return st
}

// publish stores data under a new row and returns both.
func (b *bench) publish(data []byte) (ID, uint64) {
	b.Helper()
	st := b.stage(data)
	defer st.Release()
	b.row++
	b.commit(func(kb kv.Batch) {
		st.AddTo(kb)
		AddRef(kb, st.ID, 1, b.row)
	})
	return st.ID, b.row
}

func (b *bench) commit(fill func(kv.Batch)) {
	b.Helper()
	kb := b.db.NewBatch()
	fill(kb)
	c, err := b.db.Commit(b.Context(), kb)
	if err == nil {
		err = c.Wait(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) drop(id ID, row uint64) {
	b.Helper()
	b.commit(func(kb kv.Batch) { b.s.DropRef(kb, id, 1, row) })
}

func (b *bench) collect() Collected {
	b.Helper()
	res, err := b.s.Collect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return res
}

// read returns the octets of a stream in odd portions.
func (b *bench) read(id ID) ([]byte, error) {
	r, err := b.s.Open(b.Context(), b.db, id)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, err = io.CopyBuffer(&out, io.NewSectionReader(r, 0, r.Size()), make([]byte, 10007))
	if err == nil && r.Size() > 10 {
		var part bytes.Buffer
		if err = r.WriteRange(&part, 5, r.Size()); err == nil && !bytes.Equal(part.Bytes(), out.Bytes()[5:]) {
			err = errors.New("WriteRange differs from ReadAt")
		}
	}
	return out.Bytes(), err
}

func (b *bench) expect(id ID, want []byte) {
	b.Helper()
	if got, err := b.read(id); err != nil || !bytes.Equal(got, want) {
		b.Fatalf("stream %d: %d octets, want %d: %v", id, len(got), len(want), err)
	}
}

// TestBusy: while others write too, small streams go to the segment whose sync
// they share; an engine without segments has no sync of its own to share.
func TestBusy(t *testing.T) {
	for name, db := range map[string]kv.DB{"segments": memory.New(memory.Options{}), "rows": plain{memory.New(memory.Options{})}} {
		b := newBench(t, db)
		b.s.opt.InlineBusy = 10
		var kinds []byte
		var flying []*Staged
		for i := range uint64(busyStreams + 1) {
			flying = append(flying, b.stage(noise(i, 50)))
		}
		flying = append(flying, b.stage(noise(20, 10)))
		for _, st := range flying {
			kinds = append(kinds, byte(st.header.kind))
			st.Release()
		}
		alone := b.stage(noise(30, 50))
		kinds = append(kinds, byte(alone.header.kind))
		alone.Release()
		want := bytes.Repeat([]byte{byte(kindInline)}, busyStreams+3)
		if name == "segments" {
			want[busyStreams] = byte(kindSegments)
		}
		if !bytes.Equal(kinds, want) {
			t.Errorf("%s: kinds %v, want %v", name, kinds, want)
		}
		for i := range uint64(busyStreams + 2) {
			id, _ := b.publish(noise(i, 50))
			b.expect(id, noise(i, 50))
		}
	}
}

// TestGather: a sync waits for as many as are on their way through the log, and
// begins when those are there, or gone, or late.
func TestGather(t *testing.T) {
	b := newBench(t, memory.New(memory.Options{}))
	a := b.s.app
	gathers := func(asking, flying int, until time.Time) bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asking, a.flying, a.until, a.took, a.landed = asking, flying, until, time.Hour, flying < 9
		return a.gathers()
	}
	for _, c := range []struct {
		asking, flying int
		until          time.Duration // 0: nobody has asked yet
		want           bool
	}{{1, 0, 0, false}, {1, 1, 0, false}, {1, 2, 0, true}, {3, 2, time.Hour, false}, {1, 5, time.Hour, true}, {1, 5, -time.Second, false}, {1, 9, 0, false}} {
		var until time.Time
		if c.until != 0 {
			until = time.Now().Add(c.until)
		}
		if got := gathers(c.asking, c.flying, until); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	a.mu.Lock()
	a.asking, a.flying, a.until, a.took = 0, 0, time.Time{}, time.Millisecond
	a.mu.Unlock()
	// One is on its way for good: those after it are late, not stuck.
	st := b.stage(noise(1, 200))
	for i := range uint64(5) {
		id, _ := b.publish(noise(10+i, 200))
		b.expect(id, noise(10+i, 200))
	}
	st.Release()
	if a.asking != 0 || a.flying != 0 {
		t.Errorf("%d ask, %d fly", a.asking, a.flying)
	}
}

func TestKinds(t *testing.T) {
	for name, db := range map[string]kv.DB{"segments": memory.New(memory.Options{}), "rows": plain{memory.New(memory.Options{})}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, db)
			bodies := [][]byte{{}, []byte("x"), noise(1, 100), noise(2, 101), bytes.Repeat([]byte("ab"), 50000),
				noise(3, ChunkSize), noise(4, ChunkSize+1), noise(5, 5*ChunkSize)}
			var ids []ID
			for _, body := range bodies {
				id, _ := b.publish(body)
				ids = append(ids, id)
			}
			for i, id := range ids {
				b.expect(id, bodies[i])
				if again, _ := b.publish(bodies[i]); again != id {
					t.Errorf("body %d is stored twice", i)
				}
			}
			if b.s.app != nil && len(b.s.app.live) != 0 {
				t.Errorf("records never settled: %v", b.s.app.live)
			}
			if len(b.s.pins) != 0 {
				t.Errorf("pins left: %v", b.s.pins)
			}
		})
	}
}

func TestAbortLeavesNothing(t *testing.T) {
	db := plain{memory.New(memory.Options{})}
	b := newBench(t, db)
	sender, leave := context.WithCancel(t.Context())
	w := b.s.NewWriter(sender)
	if _, err := w.Write(noise(1, 3*ChunkSize)); err != nil {
		t.Fatal(err)
	}
	leave()
	w.Abort()
	w.Abort()
	if _, err := w.Write([]byte("x")); err == nil {
		t.Error("an aborted writer writes")
	}
	it := db.Scan(t.Context(), kv.Range{Lower: []byte{spaceChunk}, Upper: []byte{spaceChunk + 1}})
	if it.Next() {
		t.Error("chunks of an aborted stream are left")
	}
	it.Close()
}

func TestCollect(t *testing.T) {
	b := newBench(t, memory.New(memory.Options{}))
	data := noise(1, 1000)
	id, row := b.publish(data)
	if _, row2 := b.publish(data); row2 == row {
		t.Fatal("rows")
	} else {
		b.drop(id, row)
		b.now = b.now.Add(time.Hour)
		if b.collect().Removed != 0 {
			t.Fatal("a stream with a reference was dropped")
		}
		b.drop(id, row2)
	}
	b.now = b.now.Add(30 * time.Second)
	if b.collect().Removed != 0 {
		t.Fatal("dropped within the grace time")
	}
	pin := b.stage(data)
	if pin.ID != id {
		t.Fatal("garbage was not found again")
	}
	b.now = b.now.Add(time.Hour)
	if b.collect().Removed != 0 {
		t.Fatal("a pinned stream was dropped")
	}
	b.expect(id, data)
	pin.Release()
	if res := b.collect(); res.Removed != 1 || res.Freed != 1000 {
		t.Fatalf("%+v", res)
	}
	if _, err := b.read(id); !model.IsKind(err, model.KindCorrupt) {
		t.Fatalf("a dropped stream: %v", err)
	}
	if again, _ := b.publish(data); again == id {
		t.Fatal("an id was given twice")
	}
}

// A batch has 4 MB; streams of many chunks must not fill it.
func TestCollectManyLargeStreams(t *testing.T) {
	b := newBench(t, memory.New(memory.Options{}))
	const chunks = 16000
	for id := ID(1 << 30); id < 1<<30+30; id++ {
		h := &header{kind: kindSegments, size: chunks * ChunkSize, hash: [32]byte{byte(id)}}
		for i := range int64(chunks) {
			h.chunks = append(h.chunks, location{7, 8 + i*100, 100})
		}
		b.commit(func(kb kv.Batch) {
			kb.Set(headerKey(id), h.encode())
			kb.Set(idKey(spaceCandidate, id), make([]byte, 8))
		})
	}
	if res := b.collect(); res.Removed != 30 {
		t.Fatalf("%+v", res)
	}
}

func TestCompactionUnderReaders(t *testing.T) {
	b := newBench(t, memory.New(memory.Options{}))
	type stored struct {
		id   ID
		row  uint64
		data []byte
	}
	var all []stored
	for i := range 40 {
		data := noise(uint64(i), 30000+i)
		id, row := b.publish(data)
		all = append(all, stored{id, row, data})
	}
	held := map[ID]*Reader{}
	for i, s := range all {
		if i%4 != 0 {
			b.drop(s.id, s.row)
			continue
		}
		r, err := b.s.Open(t.Context(), b.db, s.id)
		if err != nil {
			t.Fatal(err)
		}
		held[s.id] = r
	}
	b.now = b.now.Add(time.Hour)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				for i := 0; i < len(all); i += 4 {
					if got, err := b.read(all[i].id); err != nil || !bytes.Equal(got, all[i].data) {
						t.Errorf("stream %d while it moves: %v", all[i].id, err)
						return
					}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	res := b.collect()
	close(stop)
	wg.Wait()
	if res.Removed != 30 || res.Segments == 0 || res.Moved == 0 {
		t.Errorf("%+v", res)
	}
	for i := 0; i < len(all); i += 4 {
		got := make([]byte, len(all[i].data))
		if _, err := held[all[i].id].ReadAt(got, 0); err != nil || !bytes.Equal(got, all[i].data) {
			t.Errorf("stream %d opened before it moved: %v", all[i].id, err)
		}
		if _, err := b.db.Get(t.Context(), refKey(all[i].id, 1, all[i].row)); err != nil {
			t.Errorf("reference to stream %d: %v", all[i].id, err)
		}
		if err := b.s.CheckOctets(t.Context(), b.db, all[i].id); err != nil {
			t.Error(err)
		}
	}
	for n, s := range b.s.open.m {
		if s.refs != 0 {
			t.Errorf("segment %d is held by %d", n, s.refs)
		}
	}
}

func TestDamageStopsNothingElse(t *testing.T) {
	db := memory.New(memory.Options{})
	b := newBench(t, db)
	var ids []ID
	var rows []uint64
	for i := range 40 {
		id, row := b.publish(noise(uint64(i), 30000))
		ids, rows = append(ids, id), append(rows, row)
	}
	h, err := b.s.header(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	// The row of the first record now says that it is another stream's.
	first := h.chunks[0]
	wrong := &header{kind: kindSegments, size: 30000, hash: h.hash, chunks: []location{{first.segment, first.offset + 1, first.length}}}
	b.commit(func(kb kv.Batch) {
		kb.Set(headerKey(ids[0]), wrong.encode())
		kb.Set(segmentKey(first.segment, first.offset+1), append(append(idKey(0, ids[0])[1:], 0, 0, 0x75, 0x4a), 0))
	})
	wrong.chunks[0].length = 0x754a
	b.commit(func(kb kv.Batch) { kb.Set(headerKey(ids[0]), wrong.encode()) })
	if _, err := b.read(ids[0]); !model.IsKind(err, model.KindCorrupt) {
		t.Fatalf("damage reads as %v", err)
	}
	for i := 1; i < len(ids)-1; i++ {
		b.drop(ids[i], rows[i])
	}
	b.now = b.now.Add(time.Hour)
	if res := b.collect(); res.Removed != 38 || res.Segments < 2 {
		t.Fatalf("%+v", res)
	}
}

func TestPowerCut(t *testing.T) {
	db := memory.New(memory.Options{})
	b := newBench(t, db)
	kept := noise(1, 50000)
	id, _ := b.publish(kept)
	b.stage(noise(2, 50000)) // never published
	w := b.s.NewWriter(t.Context())
	if _, err := w.Write(noise(3, 2*ChunkSize)); err != nil {
		t.Fatal(err)
	}
	before := b.s.next
	db.PowerCut()
	if _, err := b.read(id); !model.IsKind(err, model.KindUnavailable) {
		t.Errorf("read after the power cut: %v", err)
	}
	again, err := db.Reopen()
	if err != nil {
		t.Fatal(err)
	}
	b.db = again
	b.open()
	b.expect(id, kept)
	list, err := again.Segments().List()
	if err != nil || len(list) != 1 || list[0].Size > 51000 {
		t.Errorf("tail: %+v, %v", list, err)
	}
	if next, _ := b.publish(noise(4, 50000)); next < before {
		t.Errorf("id %d was given before", next)
	}
}

func TestFullDisk(t *testing.T) {
	f := &faulty{DB: memory.New(memory.Options{})}
	b := newBench(t, f)
	kept, _ := b.publish(noise(9, 1000))
	w := b.s.NewWriter(t.Context())
	if _, err := w.Write(noise(1, ChunkSize+1)); err != nil { // one chunk is in the segment, unsynced
		t.Fatal(err)
	}
	for i := range 3 { // several segments are given up meanwhile
		f.failWrites(kv.ErrNoSpace)
		v := b.s.NewWriter(t.Context())
		_, err := v.Write(noise(2, 2*ChunkSize))
		if !model.IsKind(err, model.KindNoSpace) {
			t.Fatalf("write %d: %v", i, err)
		}
		v.Abort()
		f.failWrites(nil)
		b.expect(kept, noise(9, 1000))
		u := b.s.NewWriter(t.Context())
		if _, err := u.Write(noise(3, ChunkSize+1)); err != nil {
			t.Fatal(err)
		}
		u.Abort()
	}
	if _, err := w.Finish(t.Context()); !model.IsKind(err, model.KindNoSpace) {
		t.Fatalf("a stream whose first chunk may be lost was finished: %v", err)
	}
	id, _ := b.publish(noise(1, ChunkSize+1))
	b.expect(id, noise(1, ChunkSize+1))
	if len(b.s.app.lost) != 0 || len(b.s.app.live) != 0 || b.s.Err() != nil {
		t.Errorf("left: %v %v %v", b.s.app.lost, b.s.app.live, b.s.Err())
	}
}

// A sync of a segment that was given up while it ran says nothing about the
// segment that came after.
func TestSyncOfLostSegment(t *testing.T) {
	f := &faulty{DB: memory.New(memory.Options{}), syncing: make(chan struct{}), resume: make(chan struct{})}
	b := newBench(t, f)
	started := f.syncing
	big := b.s.NewWriter(t.Context())
	if _, err := big.Write(noise(1, 3*ChunkSize)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := big.Finish(context.Background())
		done <- err
	}()
	<-started
	f.failWrites(kv.ErrNoSpace)
	v := b.s.NewWriter(t.Context())
	if _, err := v.Write(noise(2, ChunkSize+1)); !model.IsKind(err, model.KindNoSpace) {
		t.Fatal(err)
	}
	v.Abort()
	f.failWrites(nil)
	next := b.s.NewWriter(t.Context())
	if _, err := next.Write(noise(3, ChunkSize+1)); err != nil {
		t.Fatal(err)
	}
	close(f.resume)
	if err := <-done; err != nil && !model.IsKind(err, model.KindNoSpace) && !errors.Is(err, kv.ErrClosed) {
		t.Errorf("the stream in the lost segment: %v", err)
	}
	if b.s.app.synced > segmentHeader {
		t.Errorf("a segment never synced counts as durable to %d", b.s.app.synced)
	}
	st, err := next.Finish(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st.Release()
}

func TestBrokenSegmentIsReported(t *testing.T) {
	f := &faulty{DB: memory.New(memory.Options{})}
	b := newBench(t, f)
	f.failWrites(errors.New("input/output error"))
	w := b.s.NewWriter(t.Context())
	if _, err := w.Write(noise(1, 2*ChunkSize)); err == nil {
		t.Fatal("written")
	}
	w.Abort()
	if !model.IsKind(b.s.Err(), model.KindUnavailable) {
		t.Errorf("Err = %v", b.s.Err())
	}
}

func FuzzHeader(f *testing.F) {
	f.Add((&header{kind: kindInline, size: 3, inline: []byte("abc")}).encode())
	f.Add((&header{kind: kindRows, size: 3 * ChunkSize, rows: 3}).encode())
	f.Add((&header{kind: kindSegments, size: 2 * ChunkSize, chunks: []location{{1, 8, 100}, {2, 8, 70}}}).encode())
	s, err := Open(context.Background(), memory.New(memory.Options{}), Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHeader(b)
		if err != nil {
			return
		}
		if again, err := decodeHeader(h.encode()); err != nil || again.size != h.size || len(again.chunks) != len(h.chunks) {
			t.Fatalf("%+v encodes to %+v, %v", h, again, err)
		}
		r := &Reader{s: s, r: s.db, ctx: t.Context(), h: h, chunk: -1}
		for _, off := range []int64{0, h.size / 2, h.size - 1} {
			_, _ = r.ReadAt(make([]byte, 10), max(off, 0)) // must not panic
		}
	})
}
