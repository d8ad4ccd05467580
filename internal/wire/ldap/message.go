package ldap

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"rialto/internal/model"
)

// Message is an LDAPMessage. ID 0 is for unsolicited notifications.
type Message struct {
	ID       int32
	Op       Op
	Controls []Control
}

// Op is a protocol operation: a pointer to one of this package's request and
// response types.
type Op interface {
	appendTo(w *Writer)
}

// Control is a request or response control. See PagedResults and its
// neighbours for values.
type Control struct {
	OID      string
	Critical bool
	Value    []byte // nil: none
}

// Limits on what one message may hold besides its size.
const (
	maxControls = 64
	maxList     = 1 << 17 // attributes, values, changes, … of one message
)

// DefaultMaxMessage is a sensible max for ReadMessage, AD's MaxReceiveBuffer.
const DefaultMaxMessage = 10 << 20

// ErrTooLarge means a message above the limit is on its way. It was not read:
// the stream is of no more use.
var ErrTooLarge = model.E("ldap.read", model.KindTooLarge, "message", nil)

// ReadMessage reads one message of at most max bytes. At a clean end the error
// is io.EOF. After any error the stream is of no more use; the server then
// sends NoticeOfDisconnection.
func ReadMessage(br *bufio.Reader, max int) (*Message, error) {
	b, err := ReadRaw(br, max)
	if err != nil {
		return nil, err
	}
	return DecodeMessage(b)
}

// ReadRaw reads the bytes of one message, tag and length included.
func ReadRaw(br *bufio.Reader, max int) ([]byte, error) {
	first, err := br.Peek(2)
	if err != nil {
		if len(first) == 1 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	if first[0] != TagSequence {
		return nil, invalid("message", errTag)
	}
	head := 2
	if first[1] >= 0x80 {
		head += int(first[1] & 0x7f)
		if head == 2 || head > 2+maxLengthBytes {
			return nil, invalid("message", errLength)
		}
	}
	hdr, err := br.Peek(head)
	if err != nil {
		return nil, unexpected(err)
	}
	_, _, n, err := header(hdr)
	if err != nil {
		return nil, invalid("message", err)
	}
	if n > max-head {
		return nil, ErrTooLarge
	}
	if n += head; n <= 64<<10 {
		b := make([]byte, n)
		_, err = io.ReadFull(br, b)
		return b, unexpected(err)
	}
	// Grow with what comes: a length alone must not cost memory.
	var buf bytes.Buffer
	if _, err := io.CopyN(&buf, br, int64(n)); err != nil {
		return nil, unexpected(err)
	}
	return buf.Bytes(), nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// DecodeMessage decodes exactly one message. Byte slices in the result refer
// to b, which must not change while they are in use.
func DecodeMessage(b []byte) (*Message, error) {
	outer := Reader{b}
	r, err := outer.Seq(TagSequence)
	if err != nil {
		return nil, invalid("message", err)
	}
	if !outer.Empty() {
		return nil, invalid("message", errTrailing)
	}
	m := &Message{}
	if m.ID, err = r.uint31(TagInt); err != nil {
		return nil, invalid("message id", err)
	}
	tag, body, err := r.Next()
	if err != nil {
		return nil, invalid("operation", err)
	}
	if m.Op, err = decodeOp(tag, body); err != nil {
		return nil, err
	}
	if r.Peek() == Context|Constructed {
		if m.Controls, err = decodeControls(&r); err != nil {
			return nil, invalid("controls", err)
		}
	}
	// RFC 4511 4: further elements are for later versions of the protocol.
	return m, nil
}

func decodeControls(r *Reader) ([]Control, error) {
	l, err := r.Seq(Context | Constructed)
	if err != nil {
		return nil, err
	}
	var out []Control
	for !l.Empty() {
		if len(out) == maxControls {
			return nil, errCount
		}
		s, err := l.Seq(TagSequence)
		if err != nil {
			return nil, err
		}
		var c Control
		if c.OID, err = s.String(TagOctets); err != nil {
			return nil, err
		}
		if s.Peek() == TagBool {
			if c.Critical, err = s.Bool(TagBool); err != nil {
				return nil, err
			}
		}
		if s.Peek() == TagOctets {
			if c.Value, err = s.Bytes(TagOctets); err != nil {
				return nil, err
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// AppendMessage appends the encoded message to dst.
func AppendMessage(dst []byte, m *Message) []byte {
	w := Writer{dst}
	at := w.Begin(TagSequence)
	w.Int(TagInt, int64(m.ID))
	m.Op.appendTo(&w)
	if len(m.Controls) > 0 {
		list := w.Begin(Context | Constructed)
		for _, c := range m.Controls {
			s := w.Begin(TagSequence)
			w.String(TagOctets, c.OID)
			if c.Critical {
				w.Bool(TagBool, true)
			}
			if c.Value != nil {
				w.Bytes(TagOctets, c.Value)
			}
			w.End(s)
		}
		w.End(list)
	}
	w.End(at)
	return w.B
}

// Control returns the control with the OID, nil if there is none.
func (m *Message) Control(oid string) *Control {
	for i := range m.Controls {
		if m.Controls[i].OID == oid {
			return &m.Controls[i]
		}
	}
	return nil
}
