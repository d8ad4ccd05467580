package row

import (
	"encoding/binary"
	"testing"

	"rialto/internal/model"
)

func sample() []byte {
	b := []byte{7}
	b = binary.BigEndian.AppendUint16(b, 0x1234)
	b = binary.BigEndian.AppendUint32(b, 0x12345678)
	b = binary.BigEndian.AppendUint64(b, 1<<40)
	b = binary.AppendUvarint(b, 300)
	b = binary.AppendVarint(b, -5)
	b = AppendText(b, "grün")
	g := model.GUID{1, 2}
	return append(b, g[:]...)
}

// read takes everything off a row like sample's and reports whether it was good.
func read(b []byte) (string, bool) {
	r := Reader{B: b}
	ok := r.Byte() == 7 && r.Uint16() == 0x1234 && r.Uint32() == 0x12345678 && r.Uint64() == 1<<40 && r.Uvarint() == 300 && r.Varint() == -5
	s := r.Text()
	g := r.GUID()
	return s, ok && g == (model.GUID{1, 2}) && r.Done()
}

func TestReader(t *testing.T) {
	b := sample()
	if s, ok := read(b); !ok || s != "grün" {
		t.Errorf("%q, %v", s, ok)
	}
	for i := range b {
		if _, ok := read(b[:i]); ok {
			t.Errorf("row cut at %d is good", i)
		}
	}
	if _, ok := read(append(b, 0)); ok {
		t.Error("row with something left is good")
	}
}

func TestCountIsBounded(t *testing.T) {
	r := Reader{B: binary.AppendUvarint(nil, 1<<40)}
	if n := r.Count(); n != 0 || !r.Bad {
		t.Errorf("count %d of a row that holds nothing", n)
	}
}
