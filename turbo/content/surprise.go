package content

// surprise is what a name of n characters tells at each of them, in half bits, if
// names follow one another's letters as the file names of some 600 npm packages
// and a Linux system do (22,000 different parts of names): what is often in names
// costs little. The figure of a random text is about 13 for each character, that
// of a word about 8.
func surprise[S []byte | string](s S) (total int) {
	before, last := len(letterCosts)-1, classNone
	for i := 0; i < len(s); i++ {
		letter, class := letterOf(s[i])
		if class == classNone { // "-" or "_" in the middle
			total += 14
			before, last = len(letterCosts)-1, classNone
			continue
		}
		total += int(letterCosts[before][letter] - 'A')
		switch {
		case class != classCapital || last == classNone:
			if class == classSmall && last == classCapital {
				total += 2
			}
		case last == classSmall:
			total += 6
		case last == classDigit:
			total += 4
		default:
			total += 2
		}
		before, last = letter, class
	}
	return total
}

const (
	classNone = iota
	classSmall
	classCapital
	classDigit
)

func letterOf(c byte) (letter, class int) {
	switch {
	case c >= 'a' && c <= 'z':
		return int(c - 'a'), classSmall
	case c >= 'A' && c <= 'Z':
		return int(c - 'A'), classCapital
	case isDigit(c):
		return 26, classDigit
	}
	return 0, classNone
}

// letterCosts are half bits counted from 'A': a row for the character before, a
// column for each letter and one for all digits. The last row is for the first
// character.
var letterCosts = [...]string{
	"RJIIRPJRLUNHJHSITGHFMNOOKQP", // a
	"FNMOHOKQHKQGKNHNSJJOGQOOKPL", // b
	"HQLOHPRHLUIINRFMUIKGKQRSLTM", // c
	"HMLKDNLPFQRKMOIMSJKMIOOSOSL", // d
	"JMIIKLMPNTOJJGNKOFHHPMLJNSO", // e
	"IPMLHHOQFUSIMPGOQIJJKRPQLTK", // f
	"JNMNDOLIGTPJLJKKTGKMKQRRPQN", // g
	"FNMMFOQPHSPLLOFNSKLHJQOUNQN", // h
	"KKIJJLJUSTQJJEHKRLHHSMUOUMQ", // i
	"GNKMENOOIPNMMOIKNNFMIOPNNSK", // j
	"HKKKDLLMHSRLMMKKPMHLLOMRKRK", // k
	"GMMKEOPQFUPHNOGLTOJKIOQSMQO", // l
	"EJNNEPQSHSPKJOGHSPKNLPTTRTL", // m
	"IOIGHKHPJRLMNMIMUOHFLMQSPTO", // n
	"LLKHQLLRNPMIIFKIUFKKJLKNRUQ", // o
	"GPMMFQOKJTPGOPHJRGKHJQORNUM", // p
	"NNMOMNOOMNOIPMOOOJMMBOPQNPJ", // q
	"GPKKFOMQHUMMKLGMUJIIKLOUKUP", // r
	"KOINFNOIHUNLMNJJPOHFKNMRLUN", // s
	"HOKLFMOIFUQMLOHLUHJKLPNRKTN", // t
	"JJLMJLIUISQHJGOJUGHGQRSQSRO", // u
	"FPNODONPEUTPNNLNSOMNPTQPQRK", // v
	"GNJMFOOKETOMLJHLUJJNOQQRRSM", // w
	"KNJLIJPMIQPMKOLHRMKDOQOONOJ", // x
	"JJJKHMNMLPOHJHIFQLGJNOKQPPL", // y
	"IOLMDMMMHOOKMMHMPMKQMOQPJKI", // z
	"LLKKKKNNOONNNNOMPNMMNOPMPOB", // digit
	"IJHIJJJLINNJILMIPJHILLLKRPL", // first
}
