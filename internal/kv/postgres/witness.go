package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"rialto/internal/kv"
)

const (
	witnessFormat = 1
	witnessEvery  = time.Second
	maxWitness    = 1 << 10 // octets of the file
)

// errWitness: a file that says nothing which can be relied upon.
var errWitness = errors.New("the witness cannot be used")

// witness is the content of the file of that name: up to where this machine has
// answered commits.
type witness struct {
	schema string
	testimony
	final bool // nothing was answered in epoch after position
}

// epochOr0 is that of a witness that may be missing.
func (w *witness) epochOr0() int64 {
	if w == nil {
		return 0
	}
	return w.epoch
}

// witnessHead is the size of what comes before the texts.
const witnessHead = 1 + 1 + 8 + 8

// encode returns version, whether it is final, epoch, position, the texts of at
// most 255 octets with their lengths before them, and a CRC-32C of all that;
// numbers are big endian.
func (w *witness) encode() []byte {
	b := []byte{witnessFormat, 0}
	if w.final {
		b[1] = 1
	}
	b = binary.BigEndian.AppendUint64(b, uint64(w.epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(w.position))
	for _, s := range []string{w.schema, w.timeline, w.system} {
		b = append(append(b, byte(len(s))), s...)
	}
	return append(b, checksum(b)...)
}

func checksum(b []byte) []byte {
	return binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
}

// decodeWitness is the inverse. kv.ErrFormat: a newer program wrote it.
func decodeWitness(b []byte) (*witness, error) {
	if len(b) < 5 || len(b) > maxWitness {
		return nil, fmt.Errorf("%w: it has %d octets", errWitness, len(b))
	}
	body := b[:len(b)-4]
	if !bytes.Equal(checksum(body), b[len(b)-4:]) {
		return nil, fmt.Errorf("%w: its checksum is wrong", errWitness)
	}
	if body[0] > witnessFormat {
		return nil, kv.ErrFormat
	}
	if len(body) < witnessHead {
		return nil, fmt.Errorf("%w: it is cut off", errWitness)
	}
	w := &witness{final: body[1] == 1}
	w.epoch, w.position = int64(binary.BigEndian.Uint64(body[2:])), kv.Sequence(binary.BigEndian.Uint64(body[10:]))
	rest, ok := body[witnessHead:], true
	for _, to := range []*string{&w.schema, &w.timeline, &w.system} {
		if ok = ok && len(rest) > 0 && len(rest) > int(rest[0]); ok {
			*to, rest = string(rest[1:1+int(rest[0])]), rest[1+int(rest[0]):]
		}
	}
	if !ok || len(rest) > 0 || w.epoch < 0 || w.epoch >= 1<<(63-sequenceBits) {
		return nil, fmt.Errorf("%w: it makes no sense", errWitness)
	}
	return w, nil
}

// readWitness returns nil if there is none. errWitness, which names the file,
// if there is one that says nothing; other errors mean that nobody knows.
func (d *DB) readWitness() (*witness, error) {
	if d.opts.Witness == "" {
		return nil, nil
	}
	w, err := loadWitness(d.opts.Witness)
	if err == nil && w != nil && w.schema != d.opts.Schema {
		err = fmt.Errorf("%w: it belongs to %q", errWitness, w.schema)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.opts.Witness, err)
	}
	return w, nil
}

func loadWitness(path string) (*witness, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWitness, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxWitness+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errWitness, err)
	}
	return decodeWitness(b)
}

// judge compares what an open finds (last: what the schema says; the server's
// timeline and system) with the witness. It returns nil if nothing is lost.
//
// A witness that cannot be used is not an error, which would keep a database
// closed for a file that it does not need, and not a missing one either, which
// would let a rewind within one timeline pass: clients synchronize once more.
func judge(last testimony, timeline, system string, w *witness, unusable error) *kv.Rewind {
	r := &kv.Rewind{}
	switch {
	case unusable != nil:
		r.Why = unusable.Error()
	case w != nil && last.position < w.position:
		r.Certain = true
		r.Why = fmt.Sprintf("commits up to %d were answered, and the PostgreSQL server has them up to %d", w.position, last.position)
	case !last.moved(timeline, system) && (w == nil || !w.moved(timeline, system)):
		return nil
	case w == nil:
		r.Why = "the PostgreSQL server was promoted or replaced, and nothing on this machine says what was answered before"
	case !w.final || w.epoch < last.epoch:
		r.Why = "the PostgreSQL server was promoted or replaced, and what was answered last is not known: the program had no time to note it"
	default:
		return nil
	}
	return r
}

// testify writes the witness. One of a later epoch is left alone: it is of the
// owner that has taken the database from this one.
func (d *DB) testify(position kv.Sequence, final bool) (err error) {
	if d.opts.Witness == "" {
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("the witness %s cannot be written: %w", d.opts.Witness, err)
		}
	}()
	dir, err := os.Open(filepath.Dir(d.opts.Witness))
	if err != nil {
		return err
	}
	defer dir.Close() // and with it goes the lock
	if err := unix.Flock(int(dir.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	if old, err := loadWitness(d.opts.Witness); err == nil && old != nil && old.schema == d.opts.Schema && old.epoch > d.lease.epoch {
		return nil
	}
	w := witness{schema: d.opts.Schema, final: final, testimony: testimony{d.lease.epoch, d.lease.timeline, d.lease.system, position}}
	f, err := os.OpenFile(d.opts.Witness+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(w.encode())
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(d.opts.Witness+".new", d.opts.Witness); err != nil {
		return err
	}
	return dir.Sync()
}

// answeredTo is the position up to which this owner may have answered commits.
func (d *DB) answeredTo() kv.Sequence {
	if s := d.Durable(); s > d.base {
		return s
	}
	return d.floor
}

// witnessLoop refreshes the witness while there are commits, and writes the
// final one when no answer can follow.
func (d *DB) witnessLoop() {
	defer d.loops.Done()
	t := time.NewTicker(d.opts.tick)
	defer t.Stop()
	written := d.floor
	for {
		select {
		case <-t.C:
			at := d.answeredTo()
			if at == written {
				continue
			}
			if d.tellWitness(d.testify(at, false)) {
				written = at
			}
		case <-d.ctx.Done():
			<-d.quiet
			if !errors.Is(d.failure(), kv.ErrFenced) {
				d.tellWitness(d.testify(d.answeredTo(), true))
			}
			return
		}
	}
}

func (d *DB) tellWitness(err error) bool {
	if f := d.opts.Events.Witness; err != nil && f != nil {
		f(err)
	}
	return err == nil
}
