package security

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// SID is a security identifier in its binary form (MS-DTYP 2.4.2.2), which makes
// it comparable. "" is none.
type SID string

// maxSub is the largest number of sub-authorities.
const maxSub = 15

// Well-known identifiers (MS-DTYP 2.4.2.4).
var (
	Everyone           = wellKnown(1, 0)
	CreatorOwner       = wellKnown(3, 0)
	CreatorGroup       = wellKnown(3, 1)
	OwnerRights        = wellKnown(3, 4)
	Network            = wellKnown(5, 2)
	Anonymous          = wellKnown(5, 7)
	EnterpriseDCs      = wellKnown(5, 9)
	Self               = wellKnown(5, 10)
	AuthenticatedUsers = wellKnown(5, 11)
	LocalSystem        = wellKnown(5, 18)
	Administrators     = wellKnown(5, 32, 544)
	Users              = wellKnown(5, 32, 545)
	AccountOperators   = wellKnown(5, 32, 548)
	ServerOperators    = wellKnown(5, 32, 549)
	PrintOperators     = wellKnown(5, 32, 550)
	PreWindows2000     = wellKnown(5, 32, 554)
)

func wellKnown(authority uint64, sub ...uint32) SID {
	b := []byte{1, byte(len(sub)), 0, 0, byte(authority >> 24), byte(authority >> 16), byte(authority >> 8), byte(authority)}
	for _, n := range sub {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return SID(b)
}

// With returns the identifier of an account of the domain s.
func (s SID) With(rid uint32) SID {
	if len(s) < 8 || s[1] >= maxSub {
		return ""
	}
	b := binary.LittleEndian.AppendUint32([]byte(s), rid)
	b[1]++
	return SID(b)
}

// RID returns the last sub-authority; 0 if there is none.
func (s SID) RID() uint32 {
	if len(s) < 12 {
		return 0
	}
	return binary.LittleEndian.Uint32([]byte(s[len(s)-4:]))
}

// Domain returns s without its last sub-authority.
func (s SID) Domain() SID {
	if len(s) < 12 {
		return ""
	}
	b := []byte(s[:len(s)-4])
	b[1]--
	return SID(b)
}

// String returns the form "S-1-5-21-…" (MS-DTYP 2.4.2.1).
func (s SID) String() string {
	if len(s) < 8 {
		return ""
	}
	var authority uint64
	for i := 2; i < 8; i++ {
		authority = authority<<8 | uint64(s[i])
	}
	b := append([]byte(nil), "S-1-"...)
	if authority >= 1<<32 {
		b = fmt.Appendf(b, "0x%012X", authority)
	} else {
		b = strconv.AppendUint(b, authority, 10)
	}
	for i := 8; i+4 <= len(s); i += 4 {
		b = append(b, '-')
		b = strconv.AppendUint(b, uint64(binary.LittleEndian.Uint32([]byte(s[i:i+4]))), 10)
	}
	return string(b)
}

// ParseSID reads the form that String writes.
func ParseSID(s string) (SID, error) {
	bad := fmt.Errorf("security: %.80q is not a SID", s)
	f := strings.Split(s, "-")
	if len(f) < 3 || len(f) > 3+maxSub || !strings.EqualFold(f[0], "S") || f[1] != "1" {
		return "", bad
	}
	base, digits := 10, f[2]
	if len(digits) > 2 && (digits[:2] == "0x" || digits[:2] == "0X") {
		base, digits = 16, digits[2:]
	}
	authority, err := strconv.ParseUint(digits, base, 48)
	if err != nil {
		return "", bad
	}
	b := binary.BigEndian.AppendUint64(nil, authority)
	b[0], b[1] = 1, byte(len(f)-3)
	for _, x := range f[3:] {
		n, err := strconv.ParseUint(x, 10, 32)
		if err != nil || x[0] == '+' {
			return "", bad
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return SID(b), nil
}

// DecodeSID reads the binary form, which b must be whole.
func DecodeSID(b []byte) (SID, error) {
	s, rest, err := cutSID(b)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("security: %d octets after a SID", len(rest))
	}
	return s, err
}

// cutSID reads a SID at the beginning of b.
func cutSID(b []byte) (SID, []byte, error) {
	if len(b) < 8 || b[0] != 1 || b[1] > maxSub || len(b) < 8+4*int(b[1]) {
		return "", nil, fmt.Errorf("security: a SID that makes no sense")
	}
	n := 8 + 4*int(b[1])
	return SID(b[:n]), b[n:], nil
}
