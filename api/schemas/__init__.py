"""Request bodies, validated at the edge. Unknown fields pass: providers know more than we do."""
