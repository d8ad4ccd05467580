package fulltext

import (
	"context"
	"encoding/binary"
	"slices"

	"rialto/internal/model/row"
	"rialto/internal/store"
)

// maxRunDocs bounds the items of a run; larger runs are not merged further.
const maxRunDocs = 1 << 20

// docsPerRow is how many items a row of the list of items has.
const docsPerRow = 8 << 10

// doc is an item of a run.
type doc struct {
	row   store.RowID
	oid   store.OID
	words uint32 // in all
	loose bool   // not all of its text is in the index
}

// docTable is the items of a run, ascending by row id; an item's place in it is
// its number.
type docTable struct {
	docs    []doc
	average float64 // of words, at least 1
}

func newDocTable(docs []doc) *docTable {
	total := 0.0
	for i := range docs {
		total += float64(docs[i].words)
	}
	return &docTable{docs, max(total/float64(max(len(docs), 1)), 1)}
}

// bytes is about the memory of the table.
func (t *docTable) bytes() int64 { return int64(len(t.docs)) * 24 }

// find returns the number of an item. hint is where to look first and becomes
// where the next is likely.
func (t *docTable) find(r store.RowID, o store.OID, hint *int) (uint32, bool) {
	i := *hint
	if i >= len(t.docs) || t.docs[i].row != r {
		i, _ = slices.BinarySearchFunc(t.docs, r, func(d doc, r store.RowID) int {
			switch {
			case d.row < r:
				return -1
			case d.row > r:
				return 1
			}
			return 0
		})
	}
	for ; i < len(t.docs) && t.docs[i].row == r; i++ {
		if t.docs[i].oid == o {
			*hint = i + 1
			return uint32(i), true
		}
	}
	return 0, false
}

// appendDocs writes one row of items.
func appendDocs(b []byte, docs []doc) []byte {
	last := store.RowID(0)
	for _, d := range docs {
		v := uint64(d.row-last) << 2
		if d.loose {
			v |= 1
		}
		if uint64(d.oid) != uint64(d.row) {
			v |= 2
		}
		b = binary.AppendUvarint(b, v)
		if v&2 != 0 {
			b = binary.AppendUvarint(b, uint64(d.oid))
		}
		b = binary.AppendUvarint(b, uint64(d.words))
		last = d.row
	}
	return b
}

// decodeDocs reads n items of a row.
func decodeDocs(docs []doc, b []byte, n int) ([]doc, error) {
	d := row.Reader{B: b}
	last := store.RowID(0)
	for i := 0; i < n && !d.Bad; i++ {
		v := d.Uvarint()
		x := doc{row: last + store.RowID(v>>2), loose: v&1 != 0}
		if x.oid = store.OID(x.row); v&2 != 0 {
			x.oid = store.OID(d.Uvarint())
		}
		x.words = uint32(d.Uvarint())
		if last > x.row {
			d.Bad = true
		}
		last = x.row
		docs = append(docs, x)
	}
	if !d.Done() {
		return nil, errDamaged("items")
	}
	return docs, nil
}

// readDocs reads the items of a run.
func readDocs(ctx context.Context, r rows, generation uint64, run *runInfo) (*docTable, error) {
	docs := make([]doc, 0, min(run.docs, docsPerRow))
	for n := 0; len(docs) < run.docs; n++ {
		b, err := getRow(ctx, r, generation, docsKey(run.id, n))
		if err != nil {
			return nil, err
		}
		if docs, err = decodeDocs(docs, b, min(run.docs-len(docs), docsPerRow)); err != nil {
			return nil, err
		}
	}
	return newDocTable(docs), nil
}
