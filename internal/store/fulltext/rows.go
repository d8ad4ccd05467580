package fulltext

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"slices"

	"rialto/internal/model"
	"rialto/internal/model/row"
	"rialto/internal/store"
)

// formatVersion is that of all rows. An index of another one is built again.
const formatVersion = 1

// Space is the derived space of the index.
const Space = 1

// Kinds of rows.
const (
	rowManifest = 0x00
	rowRun      = 0x01

	runDocs  = 0x00
	runDict  = 0x01
	runLists = 0x02
)

// errUnusable says that rows are missing, not what was written, or of another
// version: the index has to be built again.
var errUnusable = errors.New("fulltext: index can not be used")

func errDamaged(what string) error {
	return model.E("fulltext.read", model.KindCorrupt, what, errUnusable)
}

// runID numbers the runs of an index; no number is given twice in a generation.
type runID uint32

func runPrefix(id runID) []byte {
	return binary.BigEndian.AppendUint32([]byte{rowRun}, uint32(id))
}

func docsKey(id runID, n int) []byte {
	return binary.BigEndian.AppendUint32(append(runPrefix(id), runDocs), uint32(n))
}

func dictKey(id runID, f Field, n int) []byte {
	return binary.BigEndian.AppendUint32(append(runPrefix(id), runDict, byte(f)), uint32(n))
}

func listsKey(id runID, n int) []byte {
	return binary.BigEndian.AppendUint32(append(runPrefix(id), runLists), uint32(n))
}

func checksum(generation uint64, key, value []byte) uint32 {
	t := crc32.MakeTable(crc32.Castagnoli) // made once, by package crc32
	var g [8]byte
	binary.BigEndian.PutUint64(g[:], generation)
	return crc32.Update(crc32.Update(crc32.Update(0, t, g[:]), t, key), t, value)
}

// seal appends the checksum of a row.
func seal(generation uint64, key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, checksum(generation, key, value))
}

// unseal checks a row and takes the checksum off.
func unseal(generation uint64, key, value []byte) ([]byte, error) {
	n := len(value) - 4
	if n < 0 || binary.BigEndian.Uint32(value[n:]) != checksum(generation, key, value[:n]) {
		return nil, errDamaged("checksum")
	}
	return value[:n:n], nil
}

// runInfo is what the manifest says of a run.
type runInfo struct {
	id     runID
	docs   int
	lists  int           // rows of lists
	blocks [fieldEnd]int // rows of the dictionary, by field
	bytes  int64         // of all rows
	from   store.RowID   // the lowest, for the order of runs
}

// manifest is the root of an index.
type manifest struct {
	generation uint64 // drawn when the index was begun
	seq        store.Seq
	next       runID
	runs       []runInfo
}

// maxRuns bounds what a manifest may say.
const maxRuns = 4096

func (m *manifest) encode() []byte {
	b := []byte{formatVersion}
	b = binary.BigEndian.AppendUint64(b, m.generation)
	b = binary.AppendUvarint(b, uint64(m.seq))
	b = binary.AppendUvarint(b, uint64(m.next))
	b = binary.AppendUvarint(b, uint64(len(m.runs)))
	for i := range m.runs {
		r := &m.runs[i]
		for _, v := range []uint64{uint64(r.id), uint64(r.docs), uint64(r.lists), uint64(r.bytes), uint64(r.from)} {
			b = binary.AppendUvarint(b, v)
		}
		for _, n := range r.blocks {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	return seal(0, []byte{rowManifest}, b)
}

func (m *manifest) decode(b []byte) error {
	b, err := unseal(0, []byte{rowManifest}, b)
	if err != nil {
		return err
	}
	d := row.Reader{B: b}
	if v := d.Byte(); v != formatVersion {
		return model.E("fulltext.read", model.KindUnsupported, "index of another version", errUnusable)
	}
	m.generation = d.Uint64()
	m.seq, m.next = store.Seq(d.Uvarint()), runID(d.Uvarint())
	n := d.Count()
	if n > maxRuns {
		return errDamaged("manifest")
	}
	m.runs = make([]runInfo, n)
	for i := range m.runs {
		r := &m.runs[i]
		r.id, r.docs, r.lists = runID(d.Uvarint()), int(d.Uvarint()), int(d.Uvarint())
		r.bytes, r.from = int64(d.Uvarint()), store.RowID(d.Uvarint())
		for k := range r.blocks {
			r.blocks[k] = int(d.Uvarint())
		}
		if r.docs < 0 || r.docs > maxRunDocs || r.id >= m.next {
			d.Bad = true
		}
	}
	if !d.Done() {
		return errDamaged("manifest")
	}
	return nil
}

// without returns the runs but for some, plus one.
func (m *manifest) without(gone []runInfo, more ...runInfo) []runInfo {
	out := append([]runInfo(nil), more...)
	for _, r := range m.runs {
		if !slices.ContainsFunc(gone, func(g runInfo) bool { return g.id == r.id }) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b runInfo) int { return int(int64(a.from) - int64(b.from)) })
	return out
}

// rows reads rows of runs: of an index in the store, or of a run in memory.
type rows interface {
	get(ctx context.Context, keys ...[]byte) ([][]byte, error)
}

// memoryRows is a run that was not stored.
type memoryRows map[string][]byte

func (m memoryRows) get(_ context.Context, keys ...[]byte) ([][]byte, error) {
	out := make([][]byte, len(keys))
	for i, k := range keys {
		out[i] = m[string(k)]
	}
	return out, nil
}

// storedRows are those of an index in the store.
type storedRows struct{ v *store.DerivedView }

func (s storedRows) get(ctx context.Context, keys ...[]byte) ([][]byte, error) {
	return s.v.GetMany(ctx, keys...)
}

// getRow reads and checks one row.
func getRow(ctx context.Context, r rows, generation uint64, key []byte) ([]byte, error) {
	vals, err := r.get(ctx, key)
	if err != nil {
		return nil, err
	}
	if vals[0] == nil {
		return nil, errDamaged("row missing")
	}
	return unseal(generation, key, vals[0])
}
