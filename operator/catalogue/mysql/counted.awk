# Passes a dump on and counts its rows into the file `counts`, a line for each table.
{ print }
# Bodies of triggers, routines and events may look like rows.
/^DELIMITER ;;/ { body = 1 }
/^DELIMITER ;$/ { body = 0 }
body { next }
/^CREATE TABLE `/ { split($0, part, "`"); rows[part[2]] += 0 }
/^INSERT INTO `/ { split($0, part, "`"); rows[part[2]]++ }
END { for (name in rows) printf "%s\t%d\n", name, rows[name] > counts }
