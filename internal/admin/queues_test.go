package admin_test

import (
	"fmt"
	"strings"
	"testing"

	"rialto/internal/admin"
	"rialto/internal/directory"
	"rialto/internal/model"
)

// queue puts n messages for a domain into the queue.
func (f *fixture) queue(domain string, n int) {
	f.t.Helper()
	from := model.Address{Local: "postmaster", Domain: "contoso.test"}
	for i := range n {
		body := fmt.Sprintf("Subject: %s %d\r\n\r\ntext\r\n", domain, i)
		if _, err := f.Transport.Submit(f.t.Context(), from, []model.Address{{Local: "x", Domain: domain}}, strings.NewReader(body)); err != nil {
			f.t.Fatal(err)
		}
	}
}

func (f *fixture) messages(name string) []admin.QueuedMessage {
	f.t.Helper()
	list, err := f.ShowQueue(f.t.Context(), caller(directory.Administrator), admin.Name{Name: name})
	if err != nil {
		f.t.Fatalf("%q: %v", name, err)
	}
	return list
}

// TestQueueListIsBounded: a thousand messages at most, of all queues together,
// and a queue that is named is found behind any number of others.
func TestQueueListIsBounded(t *testing.T) {
	f := contoso(t)
	f.queue("a.test", 1000)
	f.queue("b.test", 5)
	queues, err := f.ListQueues(t.Context(), caller(directory.Administrator), admin.Nothing{})
	if err != nil || len(queues) != 2 || queues[0].Messages != 1000 || queues[1].Messages != 5 || queues[1].Oldest == nil {
		t.Fatalf("%+v %v", queues, err)
	}
	for name, want := range map[string]int{"": 1000, queues[0].Name: 1000, queues[1].Name: 5, strings.ToUpper(queues[1].Name): 5} {
		if got := f.messages(name); len(got) != want {
			t.Errorf("%q: %d messages, want %d", name, len(got), want)
		}
	}
	f.queue("a.test", 7)
	if got := f.messages(queues[0].Name); len(got) != 1000 || got[0].Queue != queues[0].Name || got[0].Recipients != nil {
		t.Errorf("%d messages of a queue of 1007", len(got))
	}
	if _, err := f.call(directory.Administrator, "queue.show", `{"name":"domain:c.test"}`); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("a queue that is not there: %v", err)
	}
}

// TestQueuedMessage: one is shown with its recipients, and removed once.
func TestQueuedMessage(t *testing.T) {
	f := contoso(t)
	f.queue("b.test", 2)
	list := f.messages("")
	one := f.messages(list[0].ID)
	if len(one) != 1 || one[0].Subject != "b.test 0" || one[0].From != "<postmaster@contoso.test>" || len(one[0].Recipients) != 1 || one[0].Recipients[0].Address != "x@b.test" {
		t.Fatalf("%+v", one)
	}
	remove := fmt.Sprintf(`{"id":%q}`, list[0].ID)
	f.do("queue.remove", remove)
	if e := f.audits()[0]; attrs(e)["object"] != list[0].ID {
		t.Errorf("%+v", e)
	}
	if left := f.messages(""); len(left) != 1 || left[0].ID != list[1].ID {
		t.Errorf("left: %+v", left)
	}
	if _, err := f.call(directory.Administrator, "queue.remove", remove); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := f.call(directory.Administrator, "queue.show", `{"name":"`+list[0].ID+`"}`); !model.IsKind(err, model.KindNotFound) {
		t.Errorf("shown after it was removed: %v", err)
	}
	f.do("queue.retry", `{"name":"`+list[1].ID+`"}`)
}
