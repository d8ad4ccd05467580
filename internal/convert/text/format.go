package text

import (
	"path"
	"strings"

	"rialto/internal/message"
)

// format is how the text of an attachment is found.
type format uint8

const (
	unknown format = iota
	plain
	html
	richText
	officeXML
	openDocument
)

// formatOf tells a part's format by its media type or, where that says nothing,
// by the end of its file name.
func formatOf(p *message.Part) format {
	sub := p.Subtype
	if p.Type == "application" {
		switch {
		case strings.HasPrefix(sub, "vnd.openxmlformats-officedocument."),
			strings.HasPrefix(sub, "vnd.ms-") && strings.HasSuffix(sub, ".macroenabled.12"):
			return officeXML
		case strings.HasPrefix(sub, "vnd.oasis.opendocument."):
			return openDocument
		case sub == "rtf", sub == "x-rtf":
			return richText
		case sub == "json", sub == "xml", sub == "csv", sub == "x-yaml", sub == "yaml":
			return plain
		case sub == "xhtml+xml":
			return html
		}
	}
	switch strings.ToLower(path.Ext(p.Filename())) {
	case ".docx", ".docm", ".dotx", ".xlsx", ".xlsm", ".xltx", ".pptx", ".pptm", ".potx", ".ppsx":
		return officeXML
	case ".odt", ".ods", ".odp", ".ott", ".odg":
		return openDocument
	case ".rtf":
		return richText
	case ".txt", ".csv", ".tsv", ".log", ".md", ".json", ".xml", ".yaml", ".yml", ".ini", ".ics", ".vcf":
		return plain
	case ".htm", ".html", ".xhtml":
		return html
	}
	return unknown
}
