package message

import (
	"html"
	"io"
	"strings"
)

// NewHTMLTextReader returns the text of an HTML document in UTF-8: no tags,
// comments, scripts or styles, entities decoded, a newline where a block begins
// or ends. It serves previews and search, not display.
func NewHTMLTextReader(r io.Reader) io.Reader { return newFilterReader(r, &htmlFilter{}) }

type htmlState uint8

const (
	htmlText htmlState = iota
	htmlTag
	htmlQuote
	htmlComment
	htmlEntity
)

// htmlFilter strips HTML in one pass with bounded state.
type htmlFilter struct {
	state htmlState
	word  []byte // name of the tag, or the entity
	named bool   // the tag's name is complete
	quote byte
	dash  int    // dashes seen at the end of a comment
	skip  string // element whose content is dropped
}

const maxEntity = 32

func (h *htmlFilter) feed(dst, src []byte) []byte {
	for _, c := range src {
		switch h.state {
		case htmlText:
			dst = h.text(dst, c)
		case htmlTag:
			dst = h.tag(dst, c)
		case htmlQuote:
			if c == h.quote {
				h.state = htmlTag
			}
		case htmlComment:
			if c == '>' && h.dash >= 2 {
				h.state = htmlText
			} else if c == '-' {
				h.dash++
			} else {
				h.dash = 0
			}
		case htmlEntity:
			if c == ';' || len(h.word) >= maxEntity || c <= ' ' || c == '<' || c == '&' {
				dst = h.entity(dst, c)
			} else {
				h.word = append(h.word, c)
			}
		}
	}
	return dst
}

func (h *htmlFilter) text(dst []byte, c byte) []byte {
	switch {
	case c == '<':
		h.state, h.word, h.named = htmlTag, h.word[:0], false
	case h.skip != "":
	case c == '&':
		h.state, h.word = htmlEntity, append(h.word[:0], c)
	case c == '\r' || c == '\n' || c == '\t':
		dst = append(dst, ' ')
	default:
		dst = append(dst, c)
	}
	return dst
}

func (h *htmlFilter) entity(dst []byte, c byte) []byte {
	h.state = htmlText
	if c == ';' {
		h.word = append(h.word, c)
	}
	dst = append(dst, strings.ReplaceAll(html.UnescapeString(string(h.word)), "\u00a0", " ")...)
	if c != ';' {
		dst = h.text(dst, c)
	}
	return dst
}

func (h *htmlFilter) tag(dst []byte, c byte) []byte {
	switch {
	case c == '>':
		h.state = htmlText
		return h.endTag(dst)
	case !h.named && len(h.word) == 0 && !tagStart(c):
		h.state = htmlText // "a < b"
		if h.skip == "" {
			dst = append(dst, '<')
		}
		return h.text(dst, c)
	case !h.named && (c <= ' ' || c == '/' && len(h.word) > 0 || len(h.word) >= maxEntity):
		h.named = true
	case !h.named:
		if c >= 'A' && c <= 'Z' {
			c += 32
		}
		if h.word = append(h.word, c); string(h.word) == "!--" {
			h.state, h.dash = htmlComment, 2 // "<!-->" is a whole comment
		}
	case (c == '"' || c == '\'') && h.skip == "":
		h.state, h.quote = htmlQuote, c
	}
	return dst
}

func tagStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '/' || c == '!' || c == '?'
}

func (h *htmlFilter) endTag(dst []byte) []byte {
	name := string(h.word)
	if h.skip != "" {
		if name == "/"+h.skip {
			h.skip = ""
		}
		return dst
	}
	switch name {
	case "script", "style", "title", "noscript", "template":
		h.skip = name
		return dst
	case "td", "th", "/td", "/th":
		return append(dst, ' ')
	}
	switch strings.TrimPrefix(name, "/") {
	case "p", "div", "br", "tr", "li", "ul", "ol", "table", "h1", "h2", "h3", "h4", "h5", "h6",
		"blockquote", "pre", "hr", "body", "section", "article", "header", "footer":
		return append(dst, '\n')
	}
	return dst
}

func (h *htmlFilter) finish(dst []byte) []byte {
	if h.state == htmlEntity {
		dst = append(dst, h.word...)
	}
	return dst
}
