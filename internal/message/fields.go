package message

import "strings"

// readHeader fills part from its header. isMsg says that the part is a message
// and has an envelope, digest that it lies in a multipart/digest;
// room is the number of addresses that may still be kept.
func readHeader(part *Part, h Header, isMsg, digest bool, room *int) {
	var env *Envelope
	if isMsg {
		env = new(Envelope)
		part.Envelope = env
	}
	for f := range h.Fields() {
		if len(f.Name) > 8 && strings.EqualFold(f.Name[:8], "content-") {
			part.content(f)
		} else if env != nil {
			env.add(f, room)
		}
	}
	if part.Type == "" {
		part.Type, part.Subtype = "text", "plain"
		if digest {
			part.Type, part.Subtype = "message", "rfc822"
		} else if part.Params == nil {
			part.Params = []Param{{"charset", "us-ascii"}}
		}
	}
	if part.Encoding == "" {
		part.Encoding = "7bit"
	}
}

// content takes one Content-* field. The first of several counts.
func (p *Part) content(f Field) {
	v := Unfold(f.Value)
	switch lower(f.Name[8:]) {
	case "type":
		if p.Type == "" {
			p.Type, p.Subtype, p.Params = parseContentType(v)
		}
	case "transfer-encoding":
		if p.Encoding == "" {
			p.Encoding = lower(firstToken(v))
		}
	case "disposition":
		if p.Disposition == "" {
			p.Disposition, p.DispositionParams = parseParams(v)
			p.Disposition = lower(firstToken(p.Disposition))
		}
	case "id":
		setOnce(&p.ID, v)
	case "description":
		setOnce(&p.Description, v)
	case "md5":
		setOnce(&p.MD5, v)
	case "location":
		setOnce(&p.Location, strings.Map(dropSpace, v))
	case "language":
		for tag := range strings.SplitSeq(v, ",") {
			if tag = firstToken(tag); tag != "" && len(p.Language) < MaxParams {
				p.Language = append(p.Language, tag)
			}
		}
	}
}

func setOnce(dst *string, v string) {
	if *dst == "" {
		*dst = v
	}
}

func dropSpace(r rune) rune {
	if r == ' ' || r == '\t' {
		return -1
	}
	return r
}

// parseContentType reads type/subtype and parameters. What is no media type is
// text/plain if it says text, else application/octet-stream (RFC 2045 5.2, RFC
// 2046 4).
func parseContentType(v string) (typ, sub string, ps []Param) {
	media, ps := parseParams(v)
	typ, sub, ok := strings.Cut(media, "/")
	typ, sub = lower(firstToken(typ)), lower(firstToken(sub))
	if ok && typ != "" && sub != "" {
		return typ, sub, ps
	}
	switch typ {
	case "":
		return "", "", ps
	case "text":
		return "text", "plain", ps
	case "multipart":
		return "multipart", "mixed", ps
	}
	return "application", "octet-stream", ps
}

// firstToken returns the first MIME token in s, skipping space and comments.
func firstToken(s string) string {
	s = skipComments(s)
	for i := 0; i < len(s); i++ {
		if !isToken(s[i]) {
			return s[:i]
		}
	}
	return s
}

// isToken reports whether c may stand in a token of RFC 2045 5.1; 8-bit bytes
// are let pass.
func isToken(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte("()<>@,;:\\\"/[]?=", c) < 0
}

// skipComments drops white space and comments at the start of s.
func skipComments(s string) string {
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" || s[0] != '(' {
			return s
		}
		s = s[commentEnd(s):]
	}
}

// commentEnd returns the length of the comment that s begins with; comments nest.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// lower is strings.ToLower for ASCII, giving the words of nearly all mail
// without an allocation.
func lower(s string) string {
	switch s { // already lower: nothing to do
	case "text", "plain", "html", "multipart", "base64", "7bit", "8bit", "quoted-printable", "charset", "boundary":
		return s
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			return lowerSlow(s)
		}
	}
	return s
}

func lowerSlow(s string) string {
	switch {
	case strings.EqualFold(s, "Type"):
		return "type"
	case strings.EqualFold(s, "Transfer-Encoding"):
		return "transfer-encoding"
	case strings.EqualFold(s, "Disposition"):
		return "disposition"
	}
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 32
		}
	}
	return string(b)
}
