package fulltext

import (
	"bytes"
	"context"
	"encoding/binary"

	"rialto/internal/model/row"
)

// Sizes of rows.
const (
	blockText = 12 << 10 // octets of words in a block of the dictionary
	listsSize = 32 << 10 // octets of lists in a row, about
	inlineMax = 12       // octets of a list that stands in the dictionary
)

// A block of the dictionary is the words, ascending and each followed by a zero
// octet, with their number and size before, and then for each word how many
// items have it and the list, or where that is:
//
//	count<<1 | 1, list
//	count<<1, row, offset

// runWriter writes the rows of a run. Terms come by field, ascending within.
type runWriter struct {
	generation uint64
	info       runInfo
	put        func(key, value []byte) error // may keep neither

	field Field
	text  []byte // of the block
	meta  []byte
	terms int
	lists []byte
	list  []byte
	block []byte
}

// docs writes the items, which come first.
func (w *runWriter) docs(t *docTable) error {
	w.info.docs = len(t.docs)
	if len(t.docs) > 0 {
		w.info.from = t.docs[0].row
	}
	for n := 0; n*docsPerRow < len(t.docs); n++ {
		part := t.docs[n*docsPerRow : min((n+1)*docsPerRow, len(t.docs))]
		if err := w.row(docsKey(w.info.id, n), appendDocs(nil, part)); err != nil {
			return err
		}
	}
	return nil
}

func (w *runWriter) row(key, value []byte) error {
	value = seal(w.generation, key, value)
	w.info.bytes += int64(len(key) + len(value))
	return w.put(key, value)
}

// term adds a term with its list, which is not empty.
func (w *runWriter) term(f Field, term []byte, list []posting) error {
	if f != w.field {
		if err := w.endBlock(); err != nil {
			return err
		}
		w.field = f
	}
	w.text = append(append(w.text, term...), 0)
	w.terms++
	w.list = appendList(w.list[:0], list, w.info.docs)
	if len(w.list) <= inlineMax {
		w.meta = append(binary.AppendUvarint(w.meta, uint64(len(list))<<1|1), w.list...)
	} else {
		w.meta = binary.AppendUvarint(w.meta, uint64(len(list))<<1)
		w.meta = binary.AppendUvarint(w.meta, uint64(w.info.lists))
		w.meta = binary.AppendUvarint(w.meta, uint64(len(w.lists)))
		if w.lists = append(w.lists, w.list...); len(w.lists) >= listsSize {
			if err := w.endLists(); err != nil {
				return err
			}
		}
	}
	if len(w.text) >= blockText {
		return w.endBlock()
	}
	return nil
}

func (w *runWriter) endLists() error {
	err := w.row(listsKey(w.info.id, w.info.lists), w.lists)
	w.info.lists++
	w.lists = w.lists[:0]
	return err
}

func (w *runWriter) endBlock() error {
	if w.terms == 0 {
		return nil
	}
	b := binary.AppendUvarint(w.block[:0], uint64(w.terms))
	b = binary.AppendUvarint(b, uint64(len(w.text)))
	w.block = append(append(b, w.text...), w.meta...)
	err := w.row(dictKey(w.info.id, w.field, w.info.blocks[w.field]), w.block)
	w.info.blocks[w.field]++
	w.text, w.meta, w.terms = w.text[:0], w.meta[:0], 0
	return err
}

// finish writes what is left and returns what the manifest has to say.
func (w *runWriter) finish() (runInfo, error) {
	if err := w.endBlock(); err != nil {
		return w.info, err
	}
	if len(w.lists) > 0 {
		if err := w.endLists(); err != nil {
			return w.info, err
		}
	}
	return w.info, nil
}

// block reads a block of the dictionary, term by term.
type block struct {
	text []byte // the words left, each with its zero
	d    row.Reader
	left int
	list []posting // of the last term, if it is inline
}

// openBlock reads the head of a block. text is all its words.
func openBlock(b []byte) (*block, error) {
	d := row.Reader{B: b}
	n := d.Count()
	text := d.Bytes()
	if d.Bad || n == 0 || len(text) == 0 || text[len(text)-1] != 0 {
		return nil, errDamaged("dictionary")
	}
	return &block{text: text, d: d, left: n}, nil
}

// entry is a term of a dictionary and where its list is.
type entry struct {
	term   []byte
	count  int
	inline []byte // the list and what follows it; nil: in a row
	row    int
	offset int
}

// next reads the next term; false at the end.
func (b *block) next(e *entry, docs int) (bool, error) {
	if b.left == 0 {
		if len(b.text) != 0 || !b.d.Done() {
			return false, errDamaged("dictionary")
		}
		return false, nil
	}
	b.left--
	i := bytes.IndexByte(b.text, 0)
	if i <= 0 {
		return false, errDamaged("dictionary")
	}
	e.term, b.text = b.text[:i], b.text[i+1:]
	v := b.d.Uvarint()
	e.count, e.inline = int(v>>1), nil
	if v&1 == 0 {
		e.row, e.offset = int(b.d.Uvarint()), int(b.d.Uvarint())
	} else {
		if e.inline = b.d.B; e.count > docs {
			return false, errDamaged("list")
		}
		var ok bool
		if b.list, ok = decodeList(b.list[:0], &b.d, e.count, docs); !ok {
			return false, errDamaged("list")
		}
	}
	if b.d.Bad || e.count == 0 || e.count > docs {
		return false, errDamaged("dictionary")
	}
	return true, nil
}

// run is a run open for reading.
type run struct {
	rows
	generation uint64
	info       runInfo
	table      *docTable

	// What keeps dictionaries in memory; nil: nothing does.
	cached func(Field) [][]byte
	keep   func(Field, [][]byte)

	listsAt int // the row of lists in memory
	lists   []byte
	room    []posting
}

func openRun(r rows, generation uint64, info runInfo, table *docTable) *run {
	return &run{rows: r, generation: generation, info: info, table: table, listsAt: -1}
}

// postings calls fn for the items of a term.
func (r *run) postings(ctx context.Context, e *entry, fn func(posting)) error {
	var err error
	if r.room, err = r.list(ctx, e, r.room[:0]); err != nil {
		return err
	}
	for _, p := range r.room {
		fn(p)
	}
	return nil
}

// list appends the items of a term to list.
func (r *run) list(ctx context.Context, e *entry, list []posting) ([]posting, error) {
	b := e.inline
	if b == nil {
		if r.listsAt != e.row {
			if e.row < 0 || e.row >= r.info.lists {
				return nil, errDamaged("list")
			}
			lists, err := getRow(ctx, r, r.generation, listsKey(r.info.id, e.row))
			if err != nil {
				return nil, err
			}
			r.listsAt, r.lists = e.row, lists
		}
		if e.offset < 0 || e.offset > len(r.lists) {
			return nil, errDamaged("list")
		}
		b = r.lists[e.offset:]
	}
	list, ok := decodeList(list, &row.Reader{B: b}, e.count, r.info.docs)
	if !ok {
		return nil, errDamaged("list")
	}
	return list, nil
}

// blocksAtOnce is how many blocks of a dictionary are read in one go.
const blocksAtOnce = 16

// eachBlock calls fn for the blocks of a field in order.
func (r *run) eachBlock(ctx context.Context, f Field, fn func(*block) error) error {
	n := r.info.blocks[f]
	var have [][]byte
	if r.cached != nil && n > 0 {
		have = r.cached(f)
	}
	if have == nil {
		have = make([][]byte, 0, min(n, 1024))
	} else if len(have) != n {
		return errDamaged("dictionary")
	}
	stored := len(have) == 0
	for at := 0; at < n; at++ {
		if at == len(have) {
			var err error
			if have, err = r.moreBlocks(ctx, f, have); err != nil {
				return err
			}
		}
		b, err := openBlock(have[at])
		if err != nil {
			return err
		}
		if err := fn(b); err != nil {
			return err
		}
	}
	if stored && n > 0 && r.keep != nil {
		r.keep(f, have)
	}
	return nil
}

// moreBlocks reads some blocks after those there are.
func (r *run) moreBlocks(ctx context.Context, f Field, have [][]byte) ([][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var keys [][]byte
	for i := len(have); i < min(r.info.blocks[f], len(have)+blocksAtOnce); i++ {
		keys = append(keys, dictKey(r.info.id, f, i))
	}
	vals, err := r.get(ctx, keys...)
	if err != nil {
		return nil, err
	}
	for i, v := range vals {
		if v == nil {
			return nil, errDamaged("dictionary row missing")
		}
		if v, err = unseal(r.generation, keys[i], v); err != nil {
			return nil, err
		}
		have = append(have, v)
	}
	return have, nil
}
