package probe

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"

	"github.com/baileyhq/bailey"
)

// linkerdHeader marks an answer that Linkerd's proxy gave itself.
const linkerdHeader = "L5d-Proxy-Error"

// options sends `OPTIONS *`, which is of no resource (RFC 9110, section 9.3.7), and
// judges by whether anything comes back. Nothing of it is kept but the status.
func options(ctx context.Context, conn net.Conn, d *bailey.Dial) Report {
	request := "OPTIONS * HTTP/1.1\r\nHost: bailey-probe\r\nUser-Agent: " + agentOf(ctx) + "\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		return noAnswer(ctx, d, err)
	}
	r := bufio.NewReader(io.LimitReader(conn, answerLimit))
	first, err := r.Peek(1)
	if err != nil {
		return noAnswer(ctx, d, err)
	}
	const alert = 0x15 // a TLS record of the type alert (RFC 8446, section 5.1)
	if first[0] == alert {
		return refused(bailey.RefuserTLS, "%s answers plain text with a TLS alert", d.Address)
	}
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return accepted("%s answers plain text, though not as HTTP/1.1", d.Address)
	}
	_ = response.Body.Close()
	switch {
	case response.StatusCode == http.StatusForbidden && response.Header.Get(linkerdHeader) != "":
		return refused(bailey.RefuserAuthorization, "%s: Linkerd's proxy refused plain text", response.Status)
	case response.StatusCode == http.StatusForbidden:
		return failed("OPTIONS *: %s: whether the mesh or the application refused cannot be told", response.Status)
	case response.StatusCode == http.StatusBadRequest:
		return failed("OPTIONS *: %s: this may be a server that wants TLS", response.Status)
	}
	return accepted("OPTIONS * in plain text: %s", response.Status)
}
