package smtp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	gosmtp "github.com/emersion/go-smtp"
)

// seen is what tinyServer was given.
type seen struct {
	mail  *Mail
	rcpts []*Rcpt
	data  string
}

// tinyServer answers with this package's codec until QUIT: the shape of a
// head, without policy.
func tinyServer(conn net.Conn, out chan<- *seen) {
	defer conn.Close()
	br, s := bufio.NewReader(conn), &seen{}
	say := func(r *Reply) { conn.Write(r.Append(nil)) }
	say(Replyf(220, "", "tiny.test"))
	for {
		c, err := ReadCommand(br)
		var rep *Reply
		switch {
		case errors.As(err, &rep):
			say(rep)
			continue
		case err != nil:
			return
		}
		switch c.Verb {
		case "EHLO":
			say(Replyf(250, "", "tiny.test\nPIPELINING\nSIZE 1000000\n8BITMIME\nSMTPUTF8\nDSN\nCHUNKING\nENHANCEDSTATUSCODES"))
		case "MAIL":
			if s.mail, err = ParseMail(c.Args); err == nil {
				rep = Replyf(250, "2.1.0", "OK")
			}
		case "RCPT":
			var r *Rcpt
			if r, err = ParseRcpt(c.Args); err == nil {
				s.rcpts = append(s.rcpts, r)
				rep = Replyf(250, "2.1.5", "OK")
			}
		case "DATA":
			say(Replyf(354, "", "Go"))
			var b []byte
			if b, err = io.ReadAll(NewDataReader(br, 1000000, RejectBare)); err == nil {
				s.data, rep = string(b), Replyf(250, "2.0.0", "Taken")
			} else {
				rep, err = Replyf(554, "5.6.0", "%v", err), nil
			}
		case "BDAT":
			var chunk BDAT
			if chunk, err = ParseBDAT(c.Args); err == nil {
				b, _ := io.ReadAll(NewChunkReader(br, chunk.Size))
				s.data += string(b)
				rep = Replyf(250, "2.0.0", "%d octets", len(b))
			}
		case "QUIT":
			say(Replyf(221, "2.0.0", "Bye"))
			out <- s
			return
		default:
			rep = Replyf(250, "2.0.0", "OK")
		}
		if err != nil && !errors.As(err, &rep) {
			return
		}
		if rep != nil {
			say(rep)
		}
	}
}

// TestServerOracle lets an independent client talk to our side of the codec.
func TestServerOracle(t *testing.T) {
	here, there := net.Pipe()
	out := make(chan *seen, 1)
	go tinyServer(here, out)
	c := gosmtp.NewClient(there)
	if err := c.Hello("client.test"); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("al.ice@contoso.test", &gosmtp.MailOptions{Size: 42, UTF8: true, Body: gosmtp.Body8BitMIME, Return: gosmtp.DSNReturnFull, EnvelopeID: "e=1+2"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("bob@contoso.test", &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifySuccess, gosmtp.DSNNotifyFailure},
		OriginalRecipientType: gosmtp.DSNAddressTypeRFC822, OriginalRecipient: "b+ob@old.test"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("not an address@", nil); err == nil {
		t.Error("bad recipient accepted")
	} else if se, ok := err.(*gosmtp.SMTPError); !ok || se.Code != 553 || se.EnhancedCode != (gosmtp.EnhancedCode{5, 1, 3}) {
		t.Errorf("refusal arrived as %v", err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	body := "Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nlast"
	io.WriteString(w, body)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	s := <-out
	m := s.mail
	if m.From.String() != "al.ice@contoso.test" || m.Size != 42 || !m.SMTPUTF8 || m.Body != "8BITMIME" || m.Ret != "FULL" || m.EnvID != "e=1+2" || m.Other != nil {
		t.Errorf("mail %+v", m)
	}
	if len(s.rcpts) != 1 || s.rcpts[0].Notify != NotifySuccess|NotifyFailure || s.rcpts[0].ORcpt != "b+ob@old.test" {
		t.Errorf("rcpts %+v", s.rcpts[0])
	}
	if s.data != body+"\r\n" {
		t.Errorf("data %q", s.data)
	}
}

// TestOwnClientMeetsServer sends large messages both ways of transfer,
// pipelined, with text that both sides must not touch.
func TestOwnClientMeetsServer(t *testing.T) {
	var b strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&b, "%s line %d\r\n", strings.Repeat(".", i%4), i)
	}
	body := strings.Repeat(b.String(), 4)
	for _, chunked := range []bool{false, true} {
		for _, size := range []int64{int64(len(body)), -1} {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			out := make(chan *seen, 1)
			go func() {
				defer ln.Close()
				if conn, err := ln.Accept(); err == nil {
					tinyServer(conn, out)
				}
			}()
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			c := NewClient(conn)
			if _, err := c.Greet(); err != nil {
				t.Fatal(err)
			}
			if err := c.Hello("me.test"); err != nil {
				t.Fatal(err)
			}
			var names []string
			for i := range 200 {
				names = append(names, fmt.Sprintf("user%d", i))
			}
			res, err := c.Send(&Envelope{Size: size, Rcpts: rcpts(names...), Chunked: chunked, Bare: ConvertBare}, strings.NewReader(body))
			if err != nil || res.Data == nil || res.Data.Code != 250 {
				t.Fatalf("chunked %v: %+v, %v", chunked, res, err)
			}
			if err := c.Quit(); err != nil {
				t.Error(err)
			}
			conn.Close()
			if s := <-out; s.data != body || len(s.rcpts) != 200 || s.mail.Size != size {
				t.Errorf("chunked %v: %d bytes of %d, %d recipients", chunked, len(s.data), len(body), len(s.rcpts))
			}
		}
	}
}
