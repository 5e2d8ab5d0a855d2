package beside

// A Notice is an error that goes on and is told once. The zero Notice is none.
type Notice struct{ told string }

// News tells whether err, or that it is over (nil), was not told before.
func (n *Notice) News(err error) bool {
	text := ""
	if err != nil {
		text = err.Error()
	}
	before := n.told
	n.told = text
	return text != before
}
