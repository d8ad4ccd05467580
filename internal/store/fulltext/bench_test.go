package fulltext

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"rialto/internal/kv/pebble"
	"rialto/internal/store"
)

// englishLike returns a text of about n octets of a language of words words, the
// frequent ones short (Zipf).
func englishLike(r *rand.Rand, z *rand.Zipf, n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(wordNumber(z.Uint64()))
		if r.IntN(12) == 0 {
			b.WriteString(".\r\n")
		} else {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func wordNumber(k uint64) string {
	syllables := []string{"ta", "re", "ion", "st", "en", "al", "or", "mi", "pro", "con", "se", "ver", "de", "ing", "er", "ma"}
	var b strings.Builder
	for k += 3; k > 0; k /= 16 {
		b.WriteString(syllables[k%16])
	}
	return b.String()
}

func cpu(tb testing.TB) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// benchSite is a mailbox of n items of 4 KB on disk, indexed. It logs what that
// took.
func benchSite(b *testing.B, n int) *site {
	db, err := pebble.Open(pebble.Options{Dir: b.TempDir(), Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	s := newSite(b, db)
	s.step = 0 // as in service
	s.fresh()
	r := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(r, 1.1, 3, 200000)
	for i := 0; i < n; i += 200 {
		var texts []string
		for k := range 200 {
			text := fmt.Sprintf("Subject %d\n%s", i+k, englishLike(r, z, 4000))
			if (i+k)%2000 == 77 {
				text += " zeppelin flights "
			}
			texts = append(texts, text)
		}
		s.append(store.FolderInbox, texts...)
	}
	before := cpu(b)
	s.feed()
	spent := (cpu(b) - before) / 1000 / float64(n)
	st, err := s.x.Status(ctx, s.box)
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d items: feeding %.0f µs of CPU each; index %.2f octets for each of mail; %d runs", n, spent, float64(st.Bytes)/float64(n*4000), st.Runs)
	return s
}

// BenchmarkFind measures answers with what the folder's list costs, as SEARCH
// does it: every item is tested.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10000, 100000} {
		if n > 10000 && testing.Short() {
			continue
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := benchSite(b, n)
			for _, text := range []string{"zeppelin", "nowhere", "eppel", "ta", "zeppelin flights", "Subject 77"} {
				b.Run("text="+strings.ReplaceAll(text, " ", "_"), func(b *testing.B) {
					yes, maybe := 0, 0
					before := cpu(b)
					for b.Loop() {
						yes, maybe = s.tally(b, text)
					}
					b.ReportMetric((cpu(b)-before)/1e6/float64(b.N), "cpu-ms/op")
					b.ReportMetric(float64(yes), "yes")
					b.ReportMetric(float64(maybe), "maybe")
				})
			}
			for _, text := range []string{"zeppelins", "zep* flight", "\"zeppelin flights\"", "ta re"} {
				q, err := Parse(text)
				if err != nil {
					b.Fatal(err)
				}
				b.Run("words="+strings.ReplaceAll(text, " ", "_"), func(b *testing.B) {
					total := 0
					for b.Loop() {
						res, err := s.x.Search(ctx, s.box, q, Scope{})
						if err != nil {
							b.Fatal(err)
						}
						total = res.Total
					}
					b.ReportMetric(float64(total), "found")
				})
			}
		})
	}
}

func (s *site) tally(b *testing.B, text string) (yes, maybe int) {
	h, err := s.x.Find(ctx, s.box, text, Subject, Body)
	if err != nil || h == nil {
		b.Fatal(h, err)
	}
	v, err := s.box.View(ctx)
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	err = v.Briefs(ctx, store.FolderInbox, 1, ^store.UID(0), func(st *store.Brief) bool {
		switch h.Test(st.Row, st.OID) {
		case Yes:
			yes++
		case Maybe:
			maybe++
		}
		return true
	})
	if err != nil {
		b.Fatal(err)
	}
	return yes, maybe
}

func BenchmarkBuilder(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(r, 1.1, 3, 200000)
	var texts [][]byte
	for range 256 {
		texts = append(texts, []byte(englishLike(r, z, 4000)))
	}
	b.ReportAllocs()
	bu := newBuilder(len(texts))
	before := cpu(b)
	for b.Loop() {
		bu.reset()
		for i, t := range texts {
			bu.begin(store.RowID(300+i), store.OID(300+i))
			bu.add(Body, t)
		}
		if _, err := bu.write(&runWriter{put: func(_, _ []byte) error { return nil }}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpu(b)-before)/1000/float64(b.N)/256, "cpu-µs/item")
}
