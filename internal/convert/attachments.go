package convert

import (
	"math"
	"strings"

	"rialto/internal/mapi"
	"rialto/internal/message"
)

// Methods of an attachment (MS-OXCMSG 2.2.2.9), and the flag of one that the
// body shows (2.2.2.18).
const (
	attachByValue     = int32(1)
	attachEmbedded    = int32(5)
	renderedInBody    = int32(4)
	maxAttachmentRows = 1000
)

// Attachments is the attachments table of a MIME message, as far as its
// structure tells it (MS-OXCMAIL 2.2.3.4): number, method, names, MIME tag,
// content id and location, and what the body shows. Sizes are those of the
// decoded octets, to within line ends and padding; quoted-printable counts as
// transferred. Messages within the message are attachments of method 5 and not
// looked into. A signed message has one attachment, the whole of it (MS-OXOSMIME
// 2.1.3.1). Beyond 1,000 rows there are none.
func Attachments(s *message.Structure) []mapi.Properties {
	a := attachments{}
	if root := s.Root; root.MediaType() == "multipart/signed" {
		a.add(root, "smime.p7m", false)
	} else {
		a.visit(root, "")
	}
	return a.rows
}

type attachments struct{ rows []mapi.Properties }

// visit adds what p and its children attach; parent is the subtype of the
// multipart that p is in.
func (a *attachments) visit(p *message.Part, parent string) {
	name := fileName(p)
	switch {
	case len(a.rows) == maxAttachmentRows:
	case p.IsMultipart():
		for _, c := range p.Children {
			a.visit(c, p.Subtype)
		}
	case p.Disposition == "attachment", p.IsMessage():
		a.add(p, name, false)
	case (p.Type == "text" || p.Type == "message") && name == "":
	case strings.HasSuffix(p.Subtype, "pkcs7-signature"), p.Subtype == "pgp-signature":
	default:
		if name == "" && strings.HasSuffix(p.Subtype, "pkcs7-mime") {
			name = "smime.p7m"
		}
		a.add(p, name, parent == "related" && p.Type == "image" && (p.ID != "" || p.Location != ""))
	}
}

func (a *attachments) add(p *message.Part, name string, shown bool) {
	var r mapi.Properties
	text := func(tag mapi.Tag, v string) {
		if v != "" {
			r.Set(tag, clip(v, maxText))
		}
	}
	method, title := attachByValue, name
	if p.IsMessage() {
		method = attachEmbedded
		if env := p.Children[0].Envelope; title == "" && env != nil {
			title = message.DecodeText(env.Subject)
		}
	}
	r.Set(mapi.TagAttachNumber, int32(len(a.rows)))
	r.Set(mapi.TagObjectType, int32(mapi.ObjectAttachment))
	r.Set(mapi.TagAttachMethod, method)
	r.Set(mapi.TagAttachSize, int32(min(decodedSize(p), math.MaxInt32)))
	r.Set(mapi.TagAttachMimeTag, p.MediaType())
	text(mapi.TagDisplayName, title)
	text(mapi.TagAttachLongFilename, name)
	text(mapi.TagAttachFilename, shortName(name))
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		text(mapi.TagAttachExtension, name[i:])
	}
	text(mapi.TagAttachContentID, strings.TrimSuffix(strings.TrimPrefix(p.ID, "<"), ">"))
	text(mapi.TagAttachContentLocation, p.Location)
	r.Set(mapi.TagAttachmentHidden, shown)
	if shown {
		r.Set(mapi.TagAttachFlags, renderedInBody)
	}
	a.rows = append(a.rows, r)
}

// fileName is the name of a part's file without the path that a sender may have
// put before it.
func fileName(p *message.Part) string {
	n := strings.TrimSpace(p.Filename())
	return n[strings.LastIndexAny(n, `/\`)+1:]
}

// shortName is a name of eight characters and three (MS-OXCMSG 2.2.2.11).
func shortName(name string) string {
	base, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		base, ext = name[:i], name[i+1:]
	}
	plain := []rune(strings.NewReplacer(" ", "", ".", "").Replace(base))
	if end := []rune(ext); len(end) > 3 {
		ext = string(end[:3])
	}
	if len(plain) > 8 || string(plain) != base {
		plain = append(plain[:min(len(plain), 6):6], '~', '1')
	}
	if ext == "" {
		return string(plain)
	}
	return string(plain) + "." + ext
}

// decodedSize is how many octets a part comes to.
func decodedSize(p *message.Part) int64 {
	if p.Encoding == "base64" {
		return max(0, p.Size()-2*p.Lines) / 4 * 3
	}
	return p.Size()
}
