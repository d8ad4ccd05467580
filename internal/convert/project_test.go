package convert

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"rialto/internal/mapi"
	"rialto/internal/message"
)

func project(t *testing.T, mail string) Projection {
	t.Helper()
	p := new(message.Parser)
	if _, err := io.WriteString(p, mail); err != nil {
		t.Fatal(err)
	}
	return FromMIME(p, p.Close())
}

const reply = "From: =?utf-8?q?J=C3=BCrgen?= <j@x.test>\r\nTo: Alice <a@b.test>, c@d.test\r\nCc: e@f.test\r\n" +
	"Subject: RE: AW: Re[2]: the plan\r\nDate: Sun, 22 Nov 2026 13:00:00 +0100\r\nMessage-ID: <2@x.test>\r\n" +
	"References: <1@x.test> <1b@x.test>\r\nImportance: high\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello there\r\n--b\r\n" +
	"Content-Type: application/pdf; name=a.pdf\r\nContent-Disposition: attachment\r\n\r\nxx\r\n--b--\r\n"

func TestSummary(t *testing.T) {
	p := project(t, reply)
	s := p.Summary
	for tag, want := range map[mapi.Tag]string{
		mapi.TagSubject: "RE: AW: Re[2]: the plan", mapi.TagNormalizedSubject: "the plan",
		mapi.TagSenderName: "Jürgen", mapi.TagSentRepresentingAddress: "j@x.test",
		mapi.TagDisplayTo: "Alice; c@d.test", mapi.TagDisplayCc: "e@f.test",
		mapi.TagInternetMessageID: "<2@x.test>", mapi.TagMessageClass: "IPM.Note", mapi.TagPreview: "Hello there",
	} {
		if got := s.Text(tag); got != want {
			t.Errorf("%08x = %q, want %q", uint32(tag), got, want)
		}
	}
	if s.Int32(mapi.TagImportance) != 2 || !s.Bool(mapi.TagHasAttachments) {
		t.Error("importance or attachment bit")
	}
	if want := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC); !s.Time(mapi.TagClientSubmitTime).Equal(want) {
		t.Errorf("date %v", s.Time(mapi.TagClientSubmitTime))
	}
	first := project(t, "Message-ID: <1@x.test>\r\nSubject: the plan\r\n\r\n")
	if !bytes.Equal(first.Summary.Binary(mapi.TagConversationID), s.Binary(mapi.TagConversationID)) {
		t.Error("a reply is not in the conversation of the first message")
	}
	if len(p.Recipients) != 3 || p.Recipients[2].Int32(mapi.TagRecipientType) != 2 {
		t.Errorf("recipients %v", p.Recipients)
	}
	st, err := message.DecodeStructure(p.Structure)
	if err != nil || len(st.Root.Children) != 2 || st.Root.Envelope != nil {
		t.Errorf("structure %+v, %v", st, err)
	}
	env, err := message.DecodeEnvelope(p.Envelope)
	if err != nil || len(env.To) != 2 {
		t.Errorf("envelope %+v, %v", env, err)
	}
}

func TestAttachmentBit(t *testing.T) {
	for mail, want := range map[string]bool{
		"\r\nhi": false,
		"Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=x.pdf\r\n\r\nhi":                                                       true,
		"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: text/html\r\n\r\ny\r\n--b--":                          false,
		"Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <1>\r\n\r\ny\r\n--b--":           false,
		"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ny\r\n--b--":        true,
		"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: application/pkcs7-signature; name=s.p7s\r\n\r\ny\r\n--b--": false,
	} {
		if got := project(t, mail).Summary.Bool(mapi.TagHasAttachments); got != want {
			t.Errorf("%q: %v, want %v", mail, got, want)
		}
	}
}

func TestMessageClass(t *testing.T) {
	for ct, want := range map[string]string{
		"text/plain": "IPM.Note",
		"multipart/report; report-type=delivery-status; boundary=b": "REPORT.IPM.Note.NDR",
		"multipart/signed; boundary=b":                              "IPM.Note.SMIME.MultipartSigned",
		"application/pkcs7-mime":                                    "IPM.Note.SMIME",
		"text/calendar; method=REQUEST":                             "IPM.Schedule.Meeting.Request",
	} {
		if got := project(t, "Content-Type: "+ct+"\r\n\r\nx").Summary.Text(mapi.TagMessageClass); got != want {
			t.Errorf("%s: %s", ct, got)
		}
	}
}

func TestNormalizeSubject(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "x": "x", "Re: x": "x", "FW: RE:x": "x", "Re[12]: x": "x", "Re:": "Re:", "Note: x": "Note: x",
		"12: x": "12: x", "SV: Vs: x": "x", "Re: Re: Re: ": "Re:", "a:b": "b", "http://x": "http://x",
	} {
		if got := NormalizeSubject(in); got != want {
			t.Errorf("%q -> %q, want %q", in, got, want)
		}
	}
}

// TestHugeMessagesFit builds mail whose lists and parts are beyond what rows
// hold: the projection must still fit.
func TestHugeMessagesFit(t *testing.T) {
	var b strings.Builder
	b.WriteString("Subject: " + strings.Repeat("x", 100000) + "\r\nTo: ")
	for i := range 9000 {
		fmt.Fprintf(&b, "\"%s\" <user%d@%s.test>,\r\n ", strings.Repeat("n", 50), i, strings.Repeat("d", 60))
	}
	b.WriteString("z@z.test\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n")
	for i := range 9000 {
		fmt.Fprintf(&b, "--b\r\nContent-Type: text/x-%d; name=%s\r\n\r\n%d\r\n", i, strings.Repeat("f", 60), i)
	}
	p := project(t, b.String()+"--b--\r\n")
	if len(p.Envelope) > maxEnvelope || len(p.Structure) > maxStructure || len(p.Recipients) > maxRecipients {
		t.Errorf("envelope %d, structure %d, recipients %d", len(p.Envelope), len(p.Structure), len(p.Recipients))
	}
	if _, err := message.DecodeStructure(p.Structure); err != nil {
		t.Error(err)
	}
	if enc, ok := mapi.AppendProperties(nil, p.Summary); !ok || len(enc) > 16<<10 {
		t.Errorf("summary of %d bytes, %v", len(enc), ok)
	}
}
