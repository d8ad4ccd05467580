package fulltext

import (
	"strings"
	"unicode/utf8"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/russian"
	"github.com/blevesearch/snowballstem/spanish"
	"github.com/blevesearch/snowballstem/swedish"
)

// stemmer returns what reduces words of a language (ISO 639-1) to stems, nil for
// one that is not known.
func stemmer(language string) func(*snowballstem.Env) bool {
	switch language {
	case "de":
		return german.Stem
	case "en":
		return english.Stem
	case "es":
		return spanish.Stem
	case "fr":
		return french.Stem
	case "it":
		return italian.Stem
	case "nl":
		return dutch.Stem
	case "pt":
		return portuguese.Stem
	case "ru":
		return russian.Stem
	case "sv":
		return swedish.Stem
	}
	return nil
}

// defaultLanguages are those of a query that names none.
func defaultLanguages() []string { return []string{"en", "de", "fr", "es", "ru"} }

// stemMatch finds words that share a stem with one of a query.
type stemMatch struct {
	word  string
	first string // all begin with it
	alike string // and with this, accents aside
	stems []languageStem
}

type languageStem struct {
	stem func(*snowballstem.Env) bool
	env  *snowballstem.Env
	text string
}

// newStemMatch is for a word in lower case.
func newStemMatch(word string, languages []string) *stemMatch {
	m := &stemMatch{word: word}
	r, n := utf8.DecodeRuneInString(word)
	m.first = word[:n]
	if utf8.RuneCountInString(word) < 3 {
		return m // too short to be inflected
	}
	shortest := utf8.RuneCountInString(word)
	if len(languages) == 0 {
		languages = defaultLanguages()
	}
	for _, l := range languages {
		f := stemmer(l)
		if f == nil || (l == "ru") != (r >= 0x400 && r < 0x530) {
			continue
		}
		s := languageStem{stem: f, env: snowballstem.NewEnv(word)}
		f(s.env)
		s.text = strings.Clone(s.env.Current())
		m.stems = append(m.stems, s)
		shortest = min(shortest, utf8.RuneCountInString(s.text))
	}
	m.alike = string([]rune(plainVowels(word))[:max(1, min(shortest-1, 4))]) // the last of a stem may change
	return m
}

func plainVowels(s string) string { return strings.Map(plainVowel, s) }

// plainVowel takes off what inflection puts on vowels.
func plainVowel(r rune) rune {
	switch r {
	case 'ä', 'á', 'à', 'â':
		return 'a'
	case 'ö', 'ó', 'ô':
		return 'o'
	case 'ü', 'ú', 'û':
		return 'u'
	case 'é', 'è', 'ê':
		return 'e'
	}
	return r
}

// maxInflection is how many octets longer than another word with its stem a word
// may be.
const maxInflection = 10

// weight is how well a word of the dictionary fits: 0 not at all, 1 the same.
func (m *stemMatch) weight(term string) float32 {
	if term == m.word {
		return 1
	}
	if len(m.stems) == 0 || !strings.HasPrefix(term, m.first) || len(term) > len(m.word)+maxInflection {
		return 0
	}
	if !m.beginsAlike(term) {
		return 0
	}
	for i := range m.stems {
		s := &m.stems[i]
		s.env.SetCurrent(term)
		s.stem(s.env)
		if s.env.Current() == s.text {
			return inflected
		}
	}
	return 0
}

func (m *stemMatch) beginsAlike(term string) bool {
	rest := m.alike
	for _, r := range term {
		if rest == "" {
			return true
		}
		want, n := utf8.DecodeRuneInString(rest)
		if plainVowel(r) != want {
			return false
		}
		rest = rest[n:]
	}
	return rest == ""
}

// Weights of words that are not the one asked for.
const (
	inflected = 0.8
	prefixed  = 0.6
)
