package postgres

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"rialto/internal/kv"
)

func sample() *witness {
	return &witness{schema: "rialto_store_1", final: true, testimony: testimony{7, "00000001", "7000000000000000001", 7<<sequenceBits + 9}}
}

func TestJudge(t *testing.T) {
	const same, other = "00000001", "00000002"
	w := func(epoch int64, pos kv.Sequence, final bool) *witness {
		return &witness{final: final, testimony: testimony{epoch, same, "1", pos}}
	}
	for name, c := range map[string]struct {
		epoch        int64
		position     kv.Sequence
		now          string
		w            *witness
		unusable     error
		lost, surely bool
	}{
		"first open":                      {epoch: 3, position: 50, now: same},
		"ordinary restart":                {epoch: 3, position: 50, now: same, w: w(3, 50, true)},
		"after a crash":                   {epoch: 3, position: 55, now: same, w: w(3, 50, false)},
		"planned promotion":               {epoch: 3, position: 50, now: other, w: w(3, 50, true)},
		"promotion, the open was lost":    {epoch: 2, position: 50, now: other, w: w(3, 50, true)},
		"promotion with a lost tail":      {epoch: 3, position: 40, now: other, w: w(3, 50, true), lost: true, surely: true},
		"dump brought back":               {epoch: 2, position: 40, now: same, w: w(3, 50, false), lost: true, surely: true},
		"both machines crashed":           {epoch: 3, position: 50, now: other, w: w(3, 50, false), lost: true},
		"promotion, no witness":           {epoch: 3, position: 50, now: other, lost: true},
		"opened elsewhere, then promoted": {epoch: 4, position: 60, now: other, w: w(3, 50, true), lost: true},
		"damaged witness":                 {epoch: 3, position: 50, now: same, unusable: errWitness, lost: true},
	} {
		r := judge(testimony{c.epoch, same, "1", c.position}, c.now, "1", c.w, c.unusable)
		if (r != nil) != c.lost || r != nil && (r.Certain != c.surely || r.Why == "") {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := judge(testimony{3, same, "1", 50}, same, "2", w(3, 50, false), nil); r == nil {
		t.Error("another system is the same")
	}
	if r := judge(testimony{3, other, "1", 50}, other, "1", w(3, 50, false), nil); r == nil {
		t.Error("only the witness knows another timeline")
	}
}

// TestWitnessUnusable: a file that says nothing opens the database and counts
// as a rewind; one of a newer program keeps it closed.
func TestWitnessUnusable(t *testing.T) {
	good := sample().encode()
	newer := append([]byte{witnessFormat + 1}, good[1:]...)
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"empty": {nil, errWitness}, "cut": {good[:len(good)-1], errWitness}, "flipped": {append(bytes.Clone(good[:3]), append([]byte{99}, good[4:]...)...), errWitness},
		"long": {make([]byte, maxWitness+1), errWitness}, "newer": {sealed(newer), kv.ErrFormat}, "more": {sealed(append(bytes.Clone(good), 0)), errWitness},
	} {
		if _, err := decodeWitness(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o := testOptions()
	o.Witness = filepath.Join(t.TempDir(), "w")
	if err := open(t, o).Close(); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{good[:9], good} { // damaged, of another database
		if err := os.WriteFile(o.Witness, b, 0o600); err != nil {
			t.Fatal(err)
		}
		db := open(t, o)
		if r := rewound(t, db); r == nil || r.Certain {
			t.Errorf("%+v", r)
		}
		if err := errors.Join(db.Settle(t.Context()), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(o.Witness, sealed(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), o)
	wantErr(t, "Open", err, kv.ErrFormat)
}

// sealed gives the octets of a witness the checksum that they have to have.
func sealed(b []byte) []byte {
	return append(b[:len(b)-4:len(b)-4], checksum(b[:len(b)-4])...)
}

func FuzzWitness(f *testing.F) {
	f.Add(sample().encode())
	f.Add((&witness{}).encode())
	f.Add([]byte{witnessFormat, 1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, append(bytes.Clone(b), checksum(b)...)} {
			w, err := decodeWitness(b)
			if err != nil {
				if !errors.Is(err, errWitness) && !errors.Is(err, kv.ErrFormat) {
					t.Fatal(err)
				}
				continue
			}
			again, err := decodeWitness(w.encode())
			if err != nil || *again != *w {
				t.Fatalf("%+v became %+v, %v", w, again, err)
			}
		}
	})
}
