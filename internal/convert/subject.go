package convert

import "strings"

// maxPrefixes bounds how many reply prefixes are taken off one subject.
const maxPrefixes = 50

// NormalizeSubject returns the subject without the prefixes of replies and
// forwards (MS-OXCMSG 3.2.5.2): one to three letters and a colon, "[n]" counts
// included, however often they stand there.
func NormalizeSubject(s string) string {
	s = strings.TrimSpace(s)
	for range maxPrefixes {
		rest, ok := cutPrefix(s)
		if !ok {
			return s
		}
		s = rest
	}
	return s
}

// cutPrefix takes one prefix off; ok is false if there is none, or nothing would
// be left.
func cutPrefix(s string) (string, bool) {
	colon := strings.IndexByte(s, ':')
	if colon < 1 || colon > 24 {
		return s, false
	}
	p := s[:colon]
	if i := strings.IndexByte(p, '['); i > 0 && strings.HasSuffix(p, "]") {
		p = p[:i]
	}
	letters := 0
	for _, r := range p {
		if r < 'A' || r > 'Z' && r < 'a' || r > 'z' && r < 0x80 {
			return s, false
		}
		letters++
	}
	rest := strings.TrimSpace(s[colon+1:])
	return rest, letters >= 1 && letters <= 3 && rest != ""
}
