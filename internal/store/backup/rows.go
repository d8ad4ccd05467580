package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"rialto/internal/kv"
	"rialto/internal/model"
)

// Parts of rows end, once they have partLeast octets, at a row whose key's
// checksum says so, about once in a megabyte; at partMost in any case.
const (
	partLeast = 256 << 10
	partMost  = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rowsTime bounds the snapshot of a backup of rows.
const rowsTime = 6 * time.Hour

// rows keeps the rows of one snapshot.
func (w *writer) rows(db kv.DB) error {
	if _, ok := db.(kv.Segmented); ok {
		return model.E("backup.write", model.KindUnsupported, "an engine with segments that can not copy itself", nil)
	}
	snap, err := db.NewSnapshot("backup", rowsTime)
	if err != nil {
		return err
	}
	defer snap.Close()
	if err := db.WaitDurable(w.ctx, snap.Sequence()); err != nil {
		return err
	}
	w.m.Sequence = uint64(snap.Sequence())
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	defer enc.Close()
	var part []byte
	it := snap.Scan(w.ctx, kv.Range{})
	for it.Next() && err == nil {
		k := it.Key()
		part = binary.AppendUvarint(part, uint64(len(k)))
		part = append(part, k...)
		part = binary.AppendUvarint(part, uint64(len(it.Value())))
		part = append(part, it.Value()...)
		if len(part) < partLeast {
			continue
		}
		if uint64(crc32.Checksum(k, castagnoli)) < uint64(len(k)+len(it.Value()))<<12 || len(part) >= partMost {
			err = w.part(enc, part)
			part = part[:0]
		}
	}
	if err = errors.Join(err, it.Close()); err != nil {
		return err
	}
	if len(part) > 0 {
		return w.part(enc, part)
	}
	return nil
}

func (w *writer) part(enc *zstd.Encoder, rows []byte) error {
	b := enc.EncodeAll(rows, nil)
	sum := sha256.Sum256(b)
	f := File{Name: fmt.Sprintf("rows/%08d", len(w.m.Files)), Size: int64(len(b)), SHA256: hex.EncodeToString(sum[:])}
	w.m.Files = append(w.m.Files, f)
	if st, err := os.Stat(filepath.Join(w.m.files(), f.SHA256)); err != nil || st.Size() != f.Size {
		tmp := filepath.Join(w.m.files(), "new")
		if err := writeSynced(tmp, b); err != nil {
			return err
		}
		if err := w.keep(tmp, &f); err != nil {
			return err
		}
	}
	return w.step(int64(len(rows)))
}

// eachRow calls fn for the rows of a part; the slices belong to the part.
func eachRow(part []byte, fn func(k, v []byte) error) error {
	take := func() []byte {
		n, size := binary.Uvarint(part)
		if size <= 0 || n > uint64(len(part)-size) {
			return nil
		}
		b := part[size : size+int(n) : size+int(n)]
		part = part[size+int(n):]
		return b
	}
	for len(part) > 0 {
		k := take()
		v := take()
		if len(k) == 0 || v == nil || len(k) > kv.MaxKey || len(v) > kv.MaxValue {
			return model.E("backup.rows", model.KindCorrupt, "part of rows", nil)
		}
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// factSpace is the first octet of the keys that say what a database is.
const factSpace = 0x01

// load puts the rows of a backup into an empty database. What says that it is a
// database comes last: a part of one is not taken for the whole.
func load(ctx context.Context, m *Manifest, db kv.DB, step func(ctx context.Context, done, total int64) error) error {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(4*partMost))
	if err != nil {
		return err
	}
	defer dec.Close()
	b := db.NewBatch()
	commit := func() error {
		err := kv.CommitDurable(ctx, db, b)
		b = db.NewBatch()
		return err
	}
	defer func() { b.Close() }()
	done := int64(0)
	var facts [][2][]byte
	for _, f := range m.Files {
		if f.Size > 2*partMost {
			return model.E("backup.rows", model.KindCorrupt, f.Name+" of "+m.path, nil)
		}
		var raw bytes.Buffer
		if err := transfer(ctx, m, f, &raw); err != nil {
			return err
		}
		part, err := dec.DecodeAll(raw.Bytes(), nil)
		if err != nil {
			return err
		}
		err = eachRow(part, func(k, v []byte) error {
			if k[0] == factSpace {
				facts = append(facts, [2][]byte{k, v})
				return nil
			}
			if b.Size()+len(k)+len(v) > kv.MaxBatch/2 {
				if err := commit(); err != nil {
					return err
				}
			}
			b.Set(k, v)
			return nil
		})
		if err != nil {
			return err
		}
		done += f.Size
		if step != nil {
			if err := step(ctx, done, m.Bytes); err != nil {
				return err
			}
		}
	}
	if err := commit(); err != nil {
		return err
	}
	for _, f := range facts {
		b.Set(f[0], f[1])
	}
	return commit()
}
