package transport

import (
	"strings"
	"time"

	"rialto/internal/message"
	"rialto/internal/model"
)

// notice is what a delivery status notification says (RFC 3464).
type notice struct {
	kind     noticeKind
	host     string // ours
	postmast model.Address
	to       model.Address
	id       string // of the report itself, without brackets
	boundary string
	now      time.Time
	record   *Record
	rcpts    []Rcpt
	original []byte // header, or the whole message
	whole    bool
	expire   time.Time // of a delay: when it will be given up
}

type noticeKind uint8

const (
	noticeFailure noticeKind = iota
	noticeDelay
	noticeSuccess
)

// action is the Action field of a recipient (RFC 3464 2.3.3).
func (k noticeKind) action(s State) string {
	switch {
	case k == noticeFailure:
		return "failed"
	case k == noticeDelay:
		return "delayed"
	case s == Relayed:
		return "relayed"
	case s == Expanded:
		return "expanded"
	}
	return "delivered"
}

// build returns the report as a message. The same notice gives the same bytes.
func (n *notice) build() []byte {
	title, intro := n.words()
	var b message.Builder
	b.Addresses("From", message.Address{Name: "System Administrator", Local: n.postmast.Local, Host: n.postmast.Domain})
	b.Addresses("To", message.Address{Local: n.to.Local, Host: n.to.Domain})
	b.Date(n.now)
	b.MessageID(n.id)
	b.Field("Subject", title+": "+n.record.Subject)
	if ids := message.MessageIDs(n.record.MessageID); len(ids) > 0 {
		b.RawField("In-Reply-To", ids[0])
		b.RawField("References", ids[0])
	}
	b.RawField("Auto-Submitted", "auto-replied")
	b.Multipart("report", n.boundary, message.Param{Name: "report-type", Value: "delivery-status"})
	b.Part()
	b.Text("text/plain", intro+n.list())
	b.Part()
	b.ContentType("message/delivery-status")
	b.Status(n.fields()...)
	b.Part()
	if n.whole {
		b.ContentType("message/rfc822")
	} else {
		b.ContentType("text/rfc822-headers")
	}
	b.Raw(n.original)
	b.End()
	return b.Bytes()
}

func (n *notice) words() (title, intro string) {
	switch n.kind {
	case noticeDelay:
		return "Delayed", "Your message has not been delivered yet. You need not send it again:\n" +
			"it will be tried until " + message.FormatDate(n.expire) + ".\n\n"
	case noticeSuccess:
		return "Delivered", "Your message was delivered, or handed to a system that will not\nreport any further, for the following recipients.\n\n"
	}
	return "Undeliverable", "Your message did not reach some or all of the intended recipients.\n\n"
}

// list is the recipients for a person to read.
func (n *notice) list() string {
	var b strings.Builder
	if n.record.Subject != "" {
		b.WriteString("      Subject:  " + n.record.Subject + "\n")
	}
	b.WriteString("      Sent:     " + message.FormatDate(n.record.Accepted) + "\n\n")
	for i := range n.rcpts {
		r := &n.rcpts[i]
		b.WriteString("      " + r.To.String() + "\n")
		if r.Diag != "" {
			b.WriteString("            " + r.Diag + "\n")
		}
		if r.Status != "" {
			b.WriteString("            <" + n.host + " #" + r.Status + ">\n")
		}
	}
	return b.String()
}

// fields are the groups of message/delivery-status.
func (n *notice) fields() [][]message.Param {
	head := []message.Param{{Name: "Reporting-MTA", Value: "dns;" + n.host}}
	if n.record.EnvID != "" {
		head = append([]message.Param{{Name: "Original-Envelope-Id", Value: n.record.EnvID}}, head...)
	}
	head = append(head, message.Param{Name: "Arrival-Date", Value: message.FormatDate(n.record.Accepted)})
	groups := [][]message.Param{head}
	for i := range n.rcpts {
		r := &n.rcpts[i]
		var g []message.Param
		add := func(name, value string) { g = append(g, message.Param{Name: name, Value: value}) }
		if r.ORcptType != "" {
			add("Original-Recipient", r.ORcptType+";"+r.ORcpt)
		}
		add("Final-Recipient", "rfc822;"+r.To.String())
		add("Action", n.kind.action(r.State))
		add("Status", n.status(r))
		if r.Remote != "" {
			add("Remote-MTA", "dns;"+r.Remote)
			if r.Diag != "" {
				add("Diagnostic-Code", "smtp;"+r.Diag)
			}
		}
		if n.kind == noticeDelay {
			add("Will-Retry-Until", message.FormatDate(n.expire))
		}
		groups = append(groups, g)
	}
	return groups
}

// status makes the class of a status fit the action: what expired with a 4.x.x
// has failed all the same and keeps it (RFC 3464 2.3.4 allows both).
func (n *notice) status(r *Rcpt) string {
	switch {
	case n.kind == noticeSuccess:
		return "2.0.0"
	case r.Status != "":
		return r.Status
	case n.kind == noticeDelay:
		return "4.0.0"
	}
	return "5.0.0"
}
