package smtp

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// slowData is the plainest reading of RFC 5321 4.5.2, one byte at a time: the
// message, what follows it, and whether the end was found.
func slowData(in []byte) (msg, rest []byte, bare, ok bool) {
	for pos := 0; ; {
		if bytes.HasPrefix(in[pos:], []byte(".\r\n")) {
			return msg, in[pos+3:], bare, true
		}
		if pos < len(in) && in[pos] == '.' {
			pos++
		}
		end := bytes.Index(in[pos:], []byte("\r\n"))
		if end < 0 {
			return nil, nil, false, false
		}
		line := in[pos : pos+end]
		if bytes.ContainsAny(line, "\r\n") {
			bare = true
		}
		msg = append(msg, in[pos:pos+end+2]...)
		pos += end + 2
	}
}

func readData(in []byte, split func(io.Reader) io.Reader, max int64, bare Bare) (msg, rest []byte, err error) {
	br := bufio.NewReaderSize(split(bytes.NewReader(in)), 16)
	msg, err = io.ReadAll(NewDataReader(br, max, bare))
	rest, _ = io.ReadAll(br)
	return msg, rest, err
}

func whole(r io.Reader) io.Reader { return r }

func TestDataReader(t *testing.T) {
	for _, c := range []struct {
		in, msg, rest string
		err           error
	}{
		{".\r\nQUIT\r\n", "", "QUIT\r\n", nil},
		{"a\r\n.\r\n", "a\r\n", "", nil},
		{"..a\r\n...\r\n.\r\n", ".a\r\n..\r\n", "", nil},
		{".a\r\n.\r\n", "a\r\n", "", nil},
		{"a\r\n.", "a\r\n", "", io.ErrUnexpectedEOF},
		// None of these may end the message: smuggling.
		{"a\n.\nMAIL\r\n.\r\n", "a\n.\nMAIL\r\n", "", nil},
		{"a\n.\r\nMAIL\r\n.\r\n", "a\n.\r\nMAIL\r\n", "", nil},
		{"a\r\n.\nMAIL\r\n.\r\n", "a\r\n\nMAIL\r\n", "", nil},
		{"a\r\n.\rMAIL\r\n.\r\n", "a\r\n\rMAIL\r\n", "", nil},
		{"a\r.\rMAIL\r\n.\r\n", "a\r.\rMAIL\r\n", "", nil},
		{"a\r\n.\r\r\nMAIL\r\n.\r\n", "a\r\n\r\r\nMAIL\r\n", "", nil},
	} {
		for _, split := range []func(io.Reader) io.Reader{whole, iotest.OneByteReader} {
			msg, rest, err := readData([]byte(c.in), split, 0, KeepBare)
			if string(msg) != c.msg || string(rest) != c.rest || !errors.Is(err, c.err) {
				t.Errorf("%q: %q, rest %q, %v", c.in, msg, rest, err)
			}
		}
	}
}

func TestDataReaderRejectsBare(t *testing.T) {
	for in, want := range map[string]error{
		"a\r\nb\r\n.\r\nQ": nil, "a\nb\r\n.\r\nQ": ErrBareLineEnd, "a\rb\r\n.\r\nQ": ErrBareLineEnd, "a\r\n.\rb\r\n.\r\nQ": ErrBareLineEnd,
		"\n\r\n.\r\nQ": ErrBareLineEnd, "a\r\r\n.\r\nQ": ErrBareLineEnd,
	} {
		_, rest, err := readData([]byte(in), iotest.HalfReader, 0, RejectBare)
		if !errors.Is(err, want) || string(rest) != "Q" {
			t.Errorf("%q: %v, rest %q", in, err, rest)
		}
	}
}

func TestDataReaderSize(t *testing.T) {
	in := strings.Repeat("0123456789\r\n", 1000) + ".\r\nQUIT\r\n"
	msg, rest, err := readData([]byte(in), whole, 12000, KeepBare)
	if len(msg) != 12000 || err != nil || string(rest) != "QUIT\r\n" {
		t.Errorf("at the limit: %d bytes, %v", len(msg), err)
	}
	msg, rest, err = readData([]byte(in), whole, 11999, KeepBare)
	if len(msg) > 11999 || !errors.Is(err, ErrTooLarge) || string(rest) != "QUIT\r\n" {
		t.Errorf("over the limit: %d bytes, %v, rest %q", len(msg), err, rest)
	}
	d := NewDataReader(bufio.NewReader(strings.NewReader(in)), 10, KeepBare)
	if err := d.Drain(); err != nil || d.Size() != 12000 {
		t.Errorf("Drain: %v, %d", err, d.Size())
	}
}

// TestDataReaderLongLine reads one line of 100 MB in constant memory.
func TestDataReaderLongLine(t *testing.T) {
	const n = 100 << 20
	src := io.MultiReader(io.LimitReader(zeros{}, n), strings.NewReader("\r\n.\r\n"))
	br := bufio.NewReaderSize(src, 16<<10)
	d := NewDataReader(br, 0, RejectBare)
	buf := make([]byte, 8<<10)
	var total int64
	for {
		k, err := d.Read(buf)
		total += int64(k)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break
		}
	}
	if total != n+2 {
		t.Errorf("%d bytes", total)
	}
}

func TestChunkReader(t *testing.T) {
	br := bufio.NewReader(strings.NewReader("abcdefQUIT"))
	if b, err := io.ReadAll(NewChunkReader(br, 6)); string(b) != "abcdef" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := io.ReadAll(NewChunkReader(br, 6)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short chunk: %v", err)
	}
}

func FuzzDataReader(f *testing.F) {
	f.Add([]byte("..a\r\n.b\n.\r\nc\r\n.\r\nQUIT"), uint8(3))
	f.Add([]byte(".\r\r\n.\r\n"), uint8(1))
	f.Add([]byte("a\r\n.\r\n"), uint8(0))
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		msg, rest, bare, ok := slowData(in)
		split := func(r io.Reader) io.Reader {
			if cut == 0 {
				return r
			}
			return io.MultiReader(io.LimitReader(r, int64(cut)), iotest.OneByteReader(r))
		}
		for _, policy := range []Bare{KeepBare, RejectBare} {
			gotMsg, gotRest, err := readData(in, split, 0, policy)
			want := error(nil)
			switch {
			case !ok:
				want = io.ErrUnexpectedEOF
			case policy == RejectBare && bare:
				want = ErrBareLineEnd
			}
			if !errors.Is(err, want) || want == nil && err != nil {
				t.Fatalf("%q: %v, want %v", in, err, want)
			}
			if ok && (!bytes.Equal(msg, gotMsg) || !bytes.Equal(rest, gotRest)) {
				t.Fatalf("%q: %q + %q, want %q + %q", in, gotMsg, gotRest, msg, rest)
			}
		}
	})
}

func dotted(t *testing.T, msg []byte, step int, bare Bare) []byte {
	t.Helper()
	var out bytes.Buffer
	w := NewDotWriter(bufio.NewWriter(&out), bare)
	for len(msg) > 0 {
		n := min(step, len(msg))
		if k, err := w.Write(msg[:n]); k != n || err != nil {
			t.Fatal(k, err)
		}
		msg = msg[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDotWriter(t *testing.T) {
	for _, c := range []struct {
		in, want string
		bare     Bare
	}{
		{"", ".\r\n", ConvertBare},
		{"a", "a\r\n.\r\n", ConvertBare},
		{".\r\n.a\r\n", "..\r\n..a\r\n.\r\n", ConvertBare},
		{"a\n.\nb\r.\rc", "a\r\n..\r\nb\r\n..\r\nc\r\n.\r\n", ConvertBare},
		{"a\r\r\nb\r", "a\r\n\r\nb\r\n.\r\n", ConvertBare},
		{"a\n.\nb\r.\rc\r\n", "a\n.\nb\r.\rc\r\n.\r\n", KeepBare},
		{"a\r\n.b\n", "a\r\n..b\n\r\n.\r\n", KeepBare},
	} {
		for step := 1; step < 9; step++ {
			if got := dotted(t, []byte(c.in), step, c.bare); string(got) != c.want {
				t.Errorf("%q by %d: %q, want %q", c.in, step, got, c.want)
			}
		}
	}
}

// FuzzDotWriter: what is written is read back, and converted text has no way
// to end the message early for any reader.
func FuzzDotWriter(f *testing.F) {
	f.Add([]byte(".\r\n..a\n.\r\n\r.\r"), uint8(2))
	f.Fuzz(func(t *testing.T, msg []byte, step uint8) {
		wire := dotted(t, msg, int(step)+1, KeepBare)
		got, rest, err := readData(wire, whole, 0, KeepBare)
		want := msg
		if len(msg) > 0 && !bytes.HasSuffix(msg, []byte("\r\n")) {
			want = append(bytes.Clone(msg), "\r\n"...)
		}
		if err != nil || len(rest) != 0 || !bytes.Equal(got, want) {
			t.Fatalf("%q -> %q -> %q, %v", msg, wire, got, err)
		}
		wire = dotted(t, msg, int(step)+1, ConvertBare)
		body := strings.TrimSuffix("\r\n"+string(wire), ".\r\n")
		plain := strings.ReplaceAll(body, "\r\n", "")
		if strings.ContainsAny(plain, "\r\n") || strings.Contains(body, "\r\n.\r\n") {
			t.Fatalf("%q -> %q", msg, wire)
		}
	})
}

func BenchmarkDataReader(b *testing.B) {
	in := []byte(strings.Repeat("From a line of a usual length in a mail that somebody wrote to another.\r\n", 1000) + ".\r\n")
	b.SetBytes(int64(len(in)))
	buf := make([]byte, 32<<10)
	src := bytes.NewReader(nil)
	br := bufio.NewReaderSize(src, 16<<10)
	for b.Loop() {
		src.Reset(in)
		br.Reset(src)
		d := NewDataReader(br, 0, RejectBare)
		for {
			if _, err := d.Read(buf); err != nil {
				break
			}
		}
	}
}
