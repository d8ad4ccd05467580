package webapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Client calls the management API.
type Client struct {
	HTTP     *http.Client
	Base     string // "http://local" on the socket
	User     string // "" on the socket
	Password string
}

// Call runs an operation. in and out are as the operation's; out may be nil.
func (c *Client) Call(op string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest("POST", c.Base+"/api/v1/"+op, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.User != "" {
		req.SetBasicAuth(c.User, c.Password)
	}
	res, err := c.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("the server does not answer: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		var f Failure
		if err := json.NewDecoder(io.LimitReader(res.Body, maxArguments)).Decode(&f); err != nil || f.Error == "" {
			return fmt.Errorf("%s: the server answered %s", op, res.Status)
		}
		return errors.New(f.Error)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(out)
}
