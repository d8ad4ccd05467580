package message

import (
	"fmt"
	"strings"
	"testing"
)

func TestFieldLimits(t *testing.T) {
	t.Run("parameters", func(t *testing.T) {
		p := Parse([]byte("Content-Type: text/plain" + strings.Repeat("; a=b", 5*MaxParams) + "\n\n")).Root
		if len(p.Params) != MaxParams {
			t.Errorf("%d parameters", len(p.Params))
		}
	})
	t.Run("fields", func(t *testing.T) {
		var p Parser
		p.Write([]byte(strings.Repeat("A: b\n", 2*MaxFields) + "Content-Type: text/html\n\nx"))
		s := p.Close()
		n := 0
		for range p.Header().Fields() {
			n++
		}
		if n != MaxFields || s.Root.Subtype != "plain" || s.Root.Size() != 1 {
			t.Errorf("%d fields, %s, body of %d", n, s.Root.MediaType(), s.Root.Size())
		}
	})
	t.Run("continuations", func(t *testing.T) {
		var b strings.Builder
		b.WriteString("Content-Disposition: attachment")
		for i := range 3 * MaxParams {
			fmt.Fprintf(&b, "; filename*%d*=%%41", i)
		}
		p := Parse([]byte(b.String() + "\n\n")).Root
		if got := p.Filename(); got != strings.Repeat("A", MaxParams) {
			t.Errorf("file name of %d bytes", len(got))
		}
	})
	t.Run("boundary", func(t *testing.T) {
		for n, want := range map[int]int{70: 1, maxBoundary: 1, maxBoundary + 1: 0} {
			b := strings.Repeat("b", n)
			s := Parse([]byte("Content-Type: multipart/mixed; boundary=" + b + "\n\n--" + b + "\n\nx\n--" + b + "--\n"))
			if len(s.Root.Children) != want {
				t.Errorf("a boundary of %d yields %d parts", n, len(s.Root.Children))
			}
		}
	})
}

func TestParams(t *testing.T) {
	for in, want := range map[string]string{
		`x`:                            "",
		`x; a`:                         "",
		`x; a; b=1`:                    "b=1 ",
		`x;;; a=1;`:                    "a=1 ",
		`x; A = "q\"uo;te" ; b=2`:      `a=q"uo;te b=2 `,
		`x; a="open`:                   "a=open ",
		`x; a=my file.txt; b=1`:        "a=my file.txt b=1 ",
		`x; (c) a=1 (d); b=2`:          "a=1 b=2 ",
		`x; a*=bogus; b*1=z; b*0=y`:    "a=bogus b=yz ",
		`x; a*0=p; a*2=r`:              "a=p ",
		`x; a*=us-ascii'en'%4G%`:       "a=%4G% ",
		`x; a=; b=""`:                  "a= b= ",
		"x; a=gr\xfcn":                 "a=gr\xfcn ",
		`x; a*0*=utf-8''%C3; a*1*=%BC`: "a=ü ",
	} {
		_, ps := parseParams(in)
		got := ""
		for _, p := range ps {
			got += p.Name + "=" + p.Value + " "
		}
		if got != want {
			t.Errorf("%q = %q, want %q", in, got, want)
		}
	}
}

func TestAddressWire(t *testing.T) {
	for want, a := range map[string]Address{
		"a@x":                    {Local: "a", Host: "x"},
		"Alice B <a@x>":          {Name: "Alice B", Local: "a", Host: "x"},
		`"B, A" <"a b"@x>`:       {Name: "B, A", Local: "a b", Host: "x"},
		"=?utf-8?B?w4Q=?= <a@x>": {Name: "Ä", Local: "a", Host: "x"},
		`"A  Bcc: e@vil" <a@x>`:  {Name: "A\r\nBcc: e@vil", Local: "a", Host: "x"},
		"root":                   {Local: "root"},
	} {
		if got := a.String(); got != want {
			t.Errorf("%+v is written %q, want %q", a, got, want)
		}
		back := ParseAddresses(want)
		if len(back) != 1 || back[0].Local != a.Local || back[0].Host != a.Host {
			t.Errorf("%q is read as %+v", want, back)
		}
	}
}
