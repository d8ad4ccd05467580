package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"rialto/internal/message"
	"rialto/internal/model"
	"rialto/internal/wire/imap"
	"rialto/internal/wire/smtp"
)

const adminDN = "CN=Administrator,CN=Users,DC=contoso,DC=test"

// dial connects and gives the whole conversation two minutes.
func dial(addr string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err == nil {
		err = c.SetDeadline(time.Now().Add(2 * time.Minute))
	}
	return c, err
}

// imapClient signs in.
func imapClient(addr, user, password string) (*imap.Client, error) {
	nc, err := dial(addr)
	if err != nil {
		return nil, err
	}
	c, err := imap.NewClient(nc)
	if err == nil {
		err = c.Login(user, password)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

func (r *rialto) imap(user, password string) *imap.Client {
	r.t.Helper()
	c, err := imapClient(r.addr["imap"], user, password)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// smtpClient says hello.
func smtpClient(addr string) (*smtp.Client, net.Conn, error) {
	nc, err := dial(addr)
	if err != nil {
		return nil, nil, err
	}
	c := smtp.NewClient(nc)
	if _, err = c.Greet(); err == nil {
		err = c.Hello("client.outside.test")
	}
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return c, nc, nil
}

func (r *rialto) smtp(endpoint string) (*smtp.Client, net.Conn) {
	r.t.Helper()
	c, nc, err := smtpClient(r.addr[endpoint])
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	return c, nc
}

// deliver sends one message; nil means that the server took it for all.
func deliver(c *smtp.Client, from string, body string, to ...string) error {
	env := &smtp.Envelope{Size: int64(len(body))}
	var err error
	if env.From, err = model.ParseAddress(from); err != nil {
		return err
	}
	for _, a := range to {
		rcpt, err := model.ParseAddress(a)
		if err != nil {
			return err
		}
		env.Rcpts = append(env.Rcpts, smtp.Rcpt{To: rcpt})
	}
	res, err := c.Send(env, strings.NewReader(body))
	if err != nil {
		return err
	}
	for _, said := range append(append([]*smtp.Reply{res.Mail}, res.Rcpts...), res.Data) {
		if said != nil && !said.Positive() {
			return said
		}
	}
	if res.Data == nil {
		return fmt.Errorf("no answer to DATA")
	}
	return nil
}

// deliver sends one message over a connection of its own.
func (r *rialto) deliver(body string, to ...string) error {
	c, nc, err := smtpClient(r.addr["smtp"])
	if err != nil {
		return err
	}
	defer nc.Close()
	return deliver(c, "x@outside.test", body, to...)
}

// fetch returns an item of every message of the set by UID.
func fetch(t *testing.T, c *imap.Client, set, item string) map[uint64]string {
	t.Helper()
	got, err := c.Fetch(true, set, "(UID "+item+")")
	if err != nil {
		t.Fatal(err)
	}
	out := map[uint64]string{}
	for _, f := range got {
		uid, _ := f.Items.Get("UID")
		v, ok := f.Items.Get(strings.Replace(item, ".PEEK", "", 1))
		if !ok {
			t.Fatalf("no %s in %s", item, f.Items)
		}
		out[uid.Num()] = v.Str
		if v.Kind == imap.Parens {
			out[uid.Num()] = v.String()
		}
	}
	return out
}

// mails returns the messages of a folder, oldest first.
func (r *rialto) mails(user, password, folder string) []string {
	r.t.Helper()
	c := r.imap(user, password)
	defer c.Close()
	sel, err := c.Select(folder)
	if err != nil {
		r.t.Fatal(err)
	}
	if sel.Exists == 0 {
		return nil
	}
	got, err := c.Fetch(false, "1:*", "(BODY.PEEK[])")
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, f := range got {
		v, _ := f.Items.Get("BODY[]")
		out = append(out, v.Str)
	}
	return out
}

// ldapmodify edits the directory as its administrator does.
func (r *rialto) ldapmodify(dn string, attrs ...string) {
	r.t.Helper()
	ldif := "dn: " + dn + "\nchangetype: modify\n"
	for i := 0; i+1 < len(attrs); i += 2 {
		ldif += "replace: " + attrs[i] + "\n" + attrs[i] + ": " + attrs[i+1] + "\n-\n"
	}
	must(r.t, ldif, "ldapmodify", "-x", "-H", "ldap://"+r.addr["ldap"], "-D", adminDN, "-w", "pw")
}

// find returns the DN of the one object of the configuration that matches.
func (r *rialto) find(filter string) string {
	r.t.Helper()
	return ldapDN(r.t, must(r.t, "", "ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", "ldap://"+r.addr["ldap"], "-D", adminDN, "-w", "pw",
		"-b", "CN=Configuration,DC=contoso,DC=test", filter, "dn"))
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// report checks that a message is a delivery report (RFC 3464) and returns the
// fields of its last recipient.
func report(t *testing.T, mail string) message.Header {
	t.Helper()
	s := message.Parse([]byte(mail))
	top := s.Root
	if top.MediaType() != "multipart/report" || top.Param("report-type") != "delivery-status" {
		t.Fatalf("not a report:\n%s", mail)
	}
	var fields message.Header
	text := false
	s.Walk(func(p *message.Part, depth int) bool {
		switch p.MediaType() {
		case "text/plain":
			text = text || depth == 1
		case "message/delivery-status":
			b := strings.TrimSpace(strings.ReplaceAll(mail[p.BodyStart:p.BodyEnd], "\r\n", "\n"))
			groups := strings.Split(b, "\n\n")
			if len(groups) < 2 || !strings.Contains(strings.ToLower(groups[0]), "reporting-mta:") {
				t.Errorf("delivery status without the server or recipients:\n%s", b)
			}
			fields = message.Header(strings.ReplaceAll(groups[len(groups)-1], "\n", "\r\n") + "\r\n")
		}
		return true
	})
	if fields == "" || !text {
		t.Fatalf("a report without its parts:\n%s", mail)
	}
	return fields
}

// secondStore adds a database and gives it the mailbox of a user who never used
// his.
func secondStore(t *testing.T, r *rialto, user string) {
	t.Helper()
	first := r.find("(objectClass=msExchPrivateMDB)")
	_, group, _ := strings.Cut(first, ",")
	dn := "CN=Second Store," + group
	_, server, _ := strings.Cut(group, ",CN=InformationStore,")
	must(t, "dn: "+dn+"\nobjectClass: msExchPrivateMDB\ndeliveryMechanism: 1\ndisplayName: Second Store\nmsExchOwningServer: "+server+"\n",
		"ldapadd", "-x", "-H", "ldap://"+r.addr["ldap"], "-D", adminDN, "-w", "pw")
	eventually(t, "the new store", func() bool {
		for _, l := range strings.Split(r.cli("store", "list"), "\n") {
			if strings.Contains(l, "Second Store") && strings.Contains(l, " mounted") {
				return true
			}
		}
		return false
	})
	r.ldapmodify("CN="+user+",CN=Users,DC=contoso,DC=test", "homeMDB", dn)
}
