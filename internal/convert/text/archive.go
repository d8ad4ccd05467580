package text

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"path"
	"strings"
)

// Limits of an archive.
const (
	maxEntries  = 2000     // files looked at
	maxUnpacked = 32 << 20 // octets of all files that are read
	maxTokens   = 2 << 20  // pieces of XML of all files
)

// archive adds the text of a document that is a zip archive of XML files
// (ECMA-376, ISO/IEC 26300). What is damaged ends it.
func archive(ctx context.Context, out *limited, raw []byte, f format) {
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return
	}
	a := unpacker{ctx: ctx, out: out, ooxml: f == officeXML, octets: maxUnpacked, tokens: maxTokens}
	for i, file := range z.File {
		if i == maxEntries || out.full() || a.octets <= 0 || a.tokens <= 0 || ctx.Err() != nil {
			return
		}
		if a.holdsText(file.Name) {
			a.file(file)
		}
	}
}

// unpacker reads the files of one archive.
type unpacker struct {
	ctx    context.Context
	out    *limited
	ooxml  bool
	octets int64
	tokens int
}

// holdsText reports whether a file of the archive has text that people see.
func (a *unpacker) holdsText(name string) bool {
	if !a.ooxml {
		return name == "content.xml"
	}
	dir, base := path.Split(name)
	if !strings.HasSuffix(base, ".xml") {
		return false
	}
	switch dir {
	case "word/":
		for _, p := range []string{"document", "header", "footer", "footnotes", "endnotes", "comments"} {
			if strings.HasPrefix(base, p) {
				return true
			}
		}
	case "xl/":
		return base == "sharedStrings.xml"
	case "xl/worksheets/":
		return true // texts may stand in their cells
	case "ppt/slides/", "ppt/notesSlides/", "ppt/comments/", "xl/comments/":
		return true
	}
	return dir == "xl/" && strings.HasPrefix(base, "comments")
}

func (a *unpacker) file(f *zip.File) {
	r, err := f.Open()
	if err != nil {
		return
	}
	defer r.Close()
	lr := &io.LimitedReader{R: r, N: a.octets}
	d := xml.NewDecoder(lr)
	d.Strict = false
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // all are UTF-8
	inText := 0
	for ; a.tokens > 0 && !a.out.full() && a.ctx.Err() == nil; a.tokens-- {
		t, err := d.RawToken()
		if err != nil {
			break
		}
		switch t := t.(type) {
		case xml.StartElement:
			if a.isText(t.Name.Local) {
				inText++
			}
			a.space(t.Name.Local)
		case xml.EndElement:
			if a.isText(t.Name.Local) {
				inText--
			}
			a.ending(t.Name.Local)
		case xml.CharData:
			if inText > 0 {
				a.out.write(t)
			}
		}
	}
	a.octets = lr.N
}

// isText reports whether characters within an element are text.
func (a *unpacker) isText(name string) bool {
	if a.ooxml {
		return name == "t"
	}
	return name == "p" || name == "h"
}

// space adds what an empty element stands for.
func (a *unpacker) space(name string) {
	switch name {
	case "tab", "br", "cr", "s", "line-break":
		a.out.write([]byte{' '})
	}
}

// ending adds a line's end after a paragraph, row or cell.
func (a *unpacker) ending(name string) {
	switch name {
	case "p", "h", "si", "is", "row", "tc":
		a.out.write([]byte{'\n'})
	}
}
