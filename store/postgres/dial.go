package postgres

import (
	"net"
	"time"
)

const (
	// silence is how long a server may leave unacknowledged what was sent to it, or say nothing on an idle
	// connection, until the connection counts as lost. By itself the kernel waits a quarter of an hour.
	silence = 15 * time.Second
	// answers is how long a question may take: pages take well under a second.
	answers = 30 * time.Second
)

// dialer connects to servers.
var dialer = net.Dialer{
	Timeout:         connectTimeout,
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silence / 3, Interval: silence / 3, Count: 2},
	Control:         boundSilence,
}
