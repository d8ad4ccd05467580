package schema

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"rialto/internal/model"
)

// Check refuses a value that is not of the attribute's syntax or over its
// upper range. DN values are the directory's to check.
func (a *Attribute) Check(v []byte) error {
	bad := func() error { return model.E("schema.check", model.KindInvalid, a.Name, nil) }
	switch a.Syntax {
	case SyntaxText, SyntaxOID:
		if !utf8.Valid(v) || len(v) == 0 || a.Upper > 0 && utf8.RuneCount(v) > a.Upper {
			return bad()
		}
	case SyntaxBool:
		if s := string(v); s != "TRUE" && s != "FALSE" {
			return bad()
		}
	case SyntaxInt:
		bits := 32
		if a.SyntaxOID == "2.5.5.16" {
			bits = 64
		}
		if _, err := strconv.ParseInt(string(v), 10, bits); err != nil {
			return bad()
		}
	case SyntaxOctets, SyntaxSecurity:
		if a.Upper > 0 && len(v) > a.Upper {
			return bad()
		}
	case SyntaxTime:
		if _, err := ParseTime(string(v)); err != nil {
			return bad()
		}
	case SyntaxSID:
		if FormatSID(v) == "" {
			return bad()
		}
	}
	return nil
}

// Normalize returns the form in which equal values are equal octets. Values of
// a filter may also be written as people write them: a SID as S-1-…, a GUID in
// its registry form. DN values are the directory's to normalize.
func (a *Attribute) Normalize(v []byte) []byte {
	switch a.Syntax {
	case SyntaxText, SyntaxDNText, SyntaxOID:
		return []byte(strings.Join(strings.Fields(strings.ToLower(string(v))), " "))
	case SyntaxBool:
		return bytes.ToUpper(v)
	case SyntaxInt:
		n, err := strconv.ParseInt(strings.TrimSpace(string(v)), 10, 64)
		if err != nil {
			return v
		}
		// Orders as numbers do.
		return binary.BigEndian.AppendUint64(nil, uint64(n)^1<<63)
	case SyntaxTime:
		if t, err := ParseTime(string(v)); err == nil {
			return []byte(FormatTime(t))
		}
	case SyntaxSID:
		if bytes.HasPrefix(v, []byte("S-")) {
			if b := ParseSID(string(v)); b != nil {
				return b
			}
		}
	case SyntaxOctets:
		if len(v) == 36 || len(v) == 38 {
			if g, err := model.ParseGUID(string(v)); err == nil {
				return g[:]
			}
		}
	}
	return v
}

// Integer returns the value of an attribute of integer syntax.
func Integer(v []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(v), 10, 64)
	return n, err == nil
}

const timeLayout = "20060102150405.0Z"

// FormatTime returns generalized time as Active Directory shows it.
func FormatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// ParseTime reads generalized time (RFC 4517 3.3.13) with seconds.
func ParseTime(s string) (time.Time, error) {
	for _, l := range []string{"20060102150405Z0700", "20060102150405.999Z0700", "0601021504Z0700", "060102150405Z0700"} {
		if t, err := time.Parse(l, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, model.E("schema.time", model.KindInvalid, s, nil)
}

// FormatSID returns the S-1-… form of a binary SID (MS-DTYP 2.4.2.1), "" if it
// is none.
func FormatSID(b []byte) string {
	if len(b) < 8 || b[0] != 1 || len(b) != 8+4*int(b[1]) || b[1] > 15 {
		return ""
	}
	auth := uint64(binary.BigEndian.Uint16(b[2:]))<<32 | uint64(binary.BigEndian.Uint32(b[4:]))
	s := "S-1-" + strconv.FormatUint(auth, 10)
	for i := 8; i < len(b); i += 4 {
		s += "-" + strconv.FormatUint(uint64(binary.LittleEndian.Uint32(b[i:])), 10)
	}
	return s
}

// ParseSID reads the S-1-… form; nil if s is none.
func ParseSID(s string) []byte {
	f := strings.Split(s, "-")
	if len(f) < 3 || len(f) > 18 || f[0] != "S" || f[1] != "1" {
		return nil
	}
	auth, err := strconv.ParseUint(f[2], 10, 48)
	if err != nil {
		return nil
	}
	b := make([]byte, 8, 8+4*len(f))
	b[0], b[1] = 1, byte(len(f)-3)
	binary.BigEndian.PutUint16(b[2:], uint16(auth>>32))
	binary.BigEndian.PutUint32(b[4:], uint32(auth))
	for _, p := range f[3:] {
		n, err := strconv.ParseUint(p, 10, 32)
		if err != nil {
			return nil
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	return b
}
