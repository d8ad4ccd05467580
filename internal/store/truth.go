package store

import (
	"slices"
	"strings"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/model"
)

// isShown lists the ids of properties that the MIME form of an item shows
// (MS-OXCMAIL 2.2): writing one of them changes the item's octets.
func isShown(id uint16) bool {
	switch id {
	case 0x0017, 0x0026, 0x0036, // importance, priority, sensitivity
		0x001A, 0x0037, 0x003D, 0x0E1D, // class, subject, prefix, normalized subject
		0x0023, 0x0029, // reports asked for
		0x0039, 0x007D, // submit time, transport headers
		0x0041, 0x0042, 0x0064, 0x0065, 0x5D02, // sent representing
		0x0C19, 0x0C1A, 0x0C1E, 0x0C1F, 0x5D01, // sender
		0x004F, 0x0050, // reply recipients
		0x0070, 0x0071, // conversation topic, index
		0x1000, 0x1009, 0x1013, // bodies
		0x1035, 0x1039, 0x1042: // Internet message id, references, in reply to
		return true
	}
	return false
}

// isComputed lists the ids of properties that the store computes: what a client
// writes there is passed over (MS-OXCMSG 2.2.1).
func isComputed(id uint16) bool {
	switch id {
	case 0x0E02, 0x0E03, 0x0E04, 0x0E08, 0x0E1B, 0x0E06, 0x0FFF, 0x0FF6, 0x0FF9, 0x65E0, 0x65E2, 0x65E3, 0x6748, 0x674A, 0x67A4, 0x3008:
		return true
	}
	return false
}

// isSummary lists the ids of properties that lists show: they stand in the
// summary row while they are short.
func isSummary(id uint16) bool {
	switch id {
	case 0x0017, 0x001A, 0x0026, 0x0036, 0x0037, 0x003D, 0x0039, 0x0042, 0x0065, 0x0070, 0x0C1A, 0x0C1F, 0x0E02, 0x0E03, 0x0E04, 0x0E1B, 0x0E1D, 0x1035,
		0x1080, 0x1090, 0x3013, 0x3FD9, 0x0C1E, 0x0064:
		return true
	}
	return false
}

// maxSummaryValue is the longest value that a summary row holds, in octets.
const maxSummaryValue = 2 << 10

// split divides the properties of an item into those of its summary and those
// of its bag. Of a long text the summary has the beginning, for lists.
func split(p mapi.Properties) (summary, bag mapi.Properties) {
	for _, q := range p {
		switch text, ok := q.Value.(string); {
		case !isSummary(q.Tag.ID()):
			bag = append(bag, q)
		case valueSize(q.Value) <= maxSummaryValue:
			summary = append(summary, q)
		default:
			bag = append(bag, q)
			if ok {
				summary = append(summary, mapi.Property{Tag: q.Tag, Value: strings.ToValidUTF8(text[:maxSummaryValue], "")})
			}
		}
	}
	return summary, bag
}

// merge returns the properties of both sets; those of over win.
func merge(under, over mapi.Properties) mapi.Properties {
	out := slices.Clone(under)
	for _, q := range over {
		out.Set(q.Tag, q.Value)
	}
	return out
}

func valueSize(v any) int {
	switch x := v.(type) {
	case string:
		return len(x)
	case []byte:
		return len(x)
	case []string:
		n := 0
		for _, s := range x {
			n += len(s)
		}
		return n
	case [][]byte:
		n := 0
		for _, s := range x {
			n += len(s)
		}
		return n
	}
	return 16
}

// compute sets the properties that follow from others: who the item is for, the
// subject without its prefix, whether it has attachments.
func compute(p *mapi.Properties, rcpts []mapi.Properties, attached bool) {
	for kind, tag := range map[int32]mapi.Tag{1: mapi.TagDisplayTo, 2: mapi.TagDisplayCc, 3: mapi.TagDisplayBcc} {
		var names []string
		size := 0
		for _, r := range rcpts {
			if r.Int32(mapi.TagRecipientType)&0xf != kind {
				continue
			}
			name := r.Text(mapi.TagDisplayName)
			if name == "" {
				name = r.Text(mapi.TagEmailAddress)
			}
			if size += len(name) + 2; size > maxSummaryValue {
				break
			}
			names = append(names, name)
		}
		if len(names) > 0 || kind == 1 {
			p.Set(tag, strings.Join(names, "; "))
		} else {
			p.Delete(tag)
		}
	}
	p.Set(mapi.TagHasAttachments, attached)
	if _, ok := p.Get(mapi.TagNormalizedSubject); !ok {
		prefix, rest := splitSubject(p.Text(mapi.TagSubject))
		p.Set(mapi.TagNormalizedSubject, rest)
		if prefix != "" {
			p.Set(mapi.TagSubjectPrefix, prefix)
		}
	}
}

// splitSubject divides a subject by its prefix: up to three letters, a colon
// and a space (MS-OXCMSG 3.2.5.2).
func splitSubject(s string) (prefix, rest string) {
	i := strings.Index(s, ": ")
	if i < 1 || len([]rune(s[:i])) > 3 || strings.ContainsAny(s[:i], " 0123456789") {
		return "", s
	}
	return s[:i+2], s[i+2:]
}

// sameValue reports whether a client's value says what is there already. Texts
// are compared without regard to line ends and white space at the end, times to
// the second: clients do not return them exactly.
func sameValue(a, b any) bool {
	switch x := a.(type) {
	case string:
		y, ok := b.(string)
		return ok && (x == y || plainText(x) == plainText(y))
	case []byte:
		y, ok := b.([]byte)
		return ok && string(x) == string(y)
	case time.Time:
		y, ok := b.(time.Time)
		return ok && x.Truncate(time.Second).Equal(y.Truncate(time.Second))
	case []string:
		y, ok := b.([]string)
		return ok && slices.Equal(x, y)
	case [][]byte, []int16, []int32, []int64, []time.Time, []float32, []float64, []model.GUID:
		return false // no shown property has such a type
	}
	return a == b
}

func plainText(s string) string {
	return strings.TrimRight(strings.ReplaceAll(s, "\r\n", "\n"), " \n\t")
}

// sameRecipients compares two recipients tables by kind, address and name.
func sameRecipients(a, b []mapi.Properties) bool {
	key := func(p mapi.Properties) string {
		addr := p.Text(mapi.TagSMTPAddress)
		if addr == "" {
			addr = p.Text(mapi.TagEmailAddress)
		}
		return string(rune('0'+p.Int32(mapi.TagRecipientType)&0xf)) + strings.ToLower(addr) + "\x00" + p.Text(mapi.TagDisplayName)
	}
	return slices.EqualFunc(a, b, func(x, y mapi.Properties) bool { return key(x) == key(y) })
}

// sameAttachments compares attachments by name and octets: equal streams of one
// database have one id.
func sameAttachments(a, b []Attachment) bool {
	return slices.EqualFunc(a, b, func(x, y Attachment) bool {
		if (x.Embedded == nil) != (y.Embedded == nil) || (x.Content == nil) != (y.Content == nil) {
			return false
		}
		if x.Content != nil && x.Content.ID != y.Content.ID {
			return false
		}
		name := func(p mapi.Properties) string {
			if n := p.Text(mapi.TagAttachLongFilename); n != "" {
				return n
			}
			return p.Text(mapi.TagAttachFilename)
		}
		return name(x.Props) == name(y.Props) && string(x.Props.Binary(mapi.TagAttachDataBinary)) == string(y.Props.Binary(mapi.TagAttachDataBinary)) &&
			(x.Embedded == nil || sameEmbedded(x.Embedded, y.Embedded))
	})
}

func sameEmbedded(x, y *NewItem) bool {
	return sameRecipients(x.Recipients, y.Recipients) && sameAttachments(x.Attachments, y.Attachments) &&
		sameValue(x.Props.Text(mapi.TagSubject), y.Props.Text(mapi.TagSubject)) && sameValue(x.Props.Text(mapi.TagBody), y.Props.Text(mapi.TagBody))
}
