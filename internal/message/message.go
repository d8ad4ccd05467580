// Package message reads and builds Internet mail: RFC 5322 headers and MIME
// bodies (RFC 2045 to 2047, 2231, 6532). Nothing it is given is an error: a
// message that breaks every rule still yields a Structure whose byte offsets
// are right, because mail has been accepted from worse senders than the
// standards foresee and must be shown.
//
// A Parser is an io.Writer: the bytes of an SMTP DATA or IMAP APPEND are teed
// through it while they are stored, and Close hands out the Structure. It holds
// no bodies; memory is bounded by the limits below whatever the input is, and
// time is linear in the input.
//
// A Structure is stored beside the message (AppendBinary, DecodeStructure), so
// that envelope, body structure and part offsets never need the message again.
package message

// Limits. What exceeds them is not lost: it stays inside the byte range of the
// innermost part that was still described, and Structure.Truncated is set where
// parts are missing.
const (
	MaxDepth       = 100     // nesting of multipart and message parts
	MaxParts       = 10000   // parts of one message
	MaxHeaderBytes = 1 << 20 // header bytes looked at in one part
	MaxHeaderTotal = 4 << 20 // header bytes looked at in one message; 512 a part beyond that
	MaxFields      = 10000   // fields looked at in one header
	MaxAddresses   = 20000   // addresses kept of one message, all its envelopes together
	MaxReferences  = 200     // message ids kept of References
	MaxParams      = 100     // parameters of one field
	maxBoundary    = 255     // RFC 2046 5.1.1 says 70; some exceed it
	maxBodyLine    = 8 << 10 // bytes of a body line looked at
	leanHeader     = 512     // header bytes looked at beyond MaxHeaderTotal
)

// Structure is what is known about a message without its bytes.
type Structure struct {
	Root      *Part // never nil after Parser.Close or DecodeStructure
	Size      int64 // bytes of the whole message
	Truncated bool  // a limit hid some parts
}

// Part is one MIME entity. Offsets are absolute, in bytes from the start of the
// message; HeaderStart <= BodyStart <= BodyEnd, and children lie within their
// parent's body. [HeaderStart, BodyStart) includes the empty line. A
// message/rfc822 with a transfer encoding, which RFC 2046 5.2.1 forbids, is
// described as if it had none.
type Part struct {
	HeaderStart, BodyStart, BodyEnd int64
	Lines                           int64 // newlines within the body

	Type, Subtype     string // lower case: "text", "plain"
	Params            []Param
	Encoding          string // lower case; "7bit" when absent
	ID                string // Content-ID with its angle brackets
	Description       string // raw, unfolded
	MD5               string
	Disposition       string // lower case; empty when absent
	DispositionParams []Param
	Language          []string
	Location          string

	// Envelope is set on the root and on the message inside a message/rfc822.
	Envelope *Envelope
	// Children are the parts of a multipart, or the one message inside a
	// message/rfc822 or message/global. A multipart whose boundary is unknown,
	// or that lies beyond a limit, has none.
	Children []*Part
}

// Param is a parameter of Content-Type or Content-Disposition. Name is in lower
// case, Value in UTF-8 after RFC 2231 decoding.
type Param struct{ Name, Value string }

// IsMultipart reports whether p is a multipart of any kind.
func (p *Part) IsMultipart() bool { return p.Type == "multipart" }

// IsMessage reports whether p holds a message that is described as its child.
func (p *Part) IsMessage() bool {
	return p.Type == "message" && (p.Subtype == "rfc822" || p.Subtype == "global") && len(p.Children) == 1
}

// MediaType returns type/subtype.
func (p *Part) MediaType() string { return p.Type + "/" + p.Subtype }

// Size is the length of the body in bytes as transferred (RFC 3501 body size).
func (p *Part) Size() int64 { return p.BodyEnd - p.BodyStart }

// Param returns the parameter of Content-Type called name (lower case), or "".
func (p *Part) Param(name string) string { return param(p.Params, name) }

// Filename returns the decoded file name from Content-Disposition or, failing
// that, the name parameter of Content-Type; "" if there is none. It may contain
// path separators: whoever writes files must not trust it.
func (p *Part) Filename() string {
	n := param(p.DispositionParams, "filename")
	if n == "" {
		n = p.Param("name")
	}
	return DecodeText(n)
}

func param(ps []Param, name string) string {
	for i := range ps {
		if ps[i].Name == name {
			return ps[i].Value
		}
	}
	return ""
}

// Find returns the part that an IMAP section number names (RFC 9051 6.4.5.1):
// {1, 2} for "1.2", the root for an empty path, nil if there is no such part.
// The only part of a message that is no multipart is number 1.
func (s *Structure) Find(path []int) *Part {
	p := s.Root
	msg := true // p is a message: its number 1 is itself unless it is multipart
	for _, n := range path {
		if !msg && p.IsMessage() {
			p, msg = p.Children[0], true
		}
		switch {
		case n < 1:
			return nil
		case p.IsMultipart():
			if n > len(p.Children) {
				if n == 1 && msg {
					msg = false
					continue
				}
				return nil
			}
			p, msg = p.Children[n-1], false
		case msg && n == 1:
			msg = false
		default:
			return nil
		}
	}
	return p
}

// Walk calls f for every part in order of appearance with its depth, the root
// first at 0, until f returns false.
func (s *Structure) Walk(f func(p *Part, depth int) bool) {
	walk(s.Root, 0, f)
}

func walk(p *Part, depth int, f func(*Part, int) bool) bool {
	if !f(p, depth) {
		return false
	}
	for _, c := range p.Children {
		if !walk(c, depth+1, f) {
			return false
		}
	}
	return true
}
