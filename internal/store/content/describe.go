package content

import (
	"encoding/binary"
	"fmt"
)

// Describe shows a row of the content spaces as people read it; with octets
// the stored octets too. ok is false if it is malformed.
func Describe(key, value []byte, octets bool) (text string, ok bool) {
	switch {
	case key[0] == spaceHeader && len(key) == 9:
		h, err := decodeHeader(value)
		if err != nil {
			return "", false
		}
		kind := map[byte]string{kindInline: "inline", kindSegments: "segments", kindRows: "rows"}[h.kind]
		text = fmt.Sprintf("content %d: %d octets, %s, sha256 %x", binary.BigEndian.Uint64(key[1:]), h.size, kind, h.hash)
		for _, c := range h.chunks {
			text += fmt.Sprintf(", segment %d at %d (%d)", c.segment, c.offset, c.length)
		}
		if octets && h.kind == kindInline {
			text += fmt.Sprintf(", codec %d: %x", h.codec, h.inline)
		}
		return text, true
	case key[0] == spaceHash && len(value) == 8, key[0] == spaceCandidate && len(value) == 8:
		return fmt.Sprint(binary.BigEndian.Uint64(value)), true
	case key[0] == spaceRef:
		id, mailbox, row, ok := ParseRef(key)
		return fmt.Sprintf("content %d is used by row %d of mailbox %d", id, row, mailbox), ok
	case key[0] == spaceChunk && len(key) == 13:
		if octets {
			return fmt.Sprintf("%d octets: %x", len(value), value), true
		}
		return fmt.Sprintf("%d octets", len(value)), true
	case key[0] == spaceSegment && len(key) == 17 && len(value) == 13:
		return fmt.Sprintf("segment %d at %d: content %d, %d octets", binary.BigEndian.Uint64(key[1:]), binary.BigEndian.Uint64(key[9:]),
			binary.BigEndian.Uint64(value), binary.BigEndian.Uint32(value[8:])), true
	}
	return "", false
}
